//! The book, built so that it can't be wrong: every listing, transcript and diff is cut from its source as the book is
//! built, and what mdBook would accept silently fails the build, with file and line.
//!
//! mdBook is driven as a library, in this order: `directives` are replaced, mdBook renders with its `warnings`
//! caught, `check` reads the HTML, and only then does the new book replace the old one.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod build;
mod check;
pub mod directives;
mod html;
pub mod live;
mod markdown;
pub mod problem;
mod repository;
pub mod serve;
mod warnings;
pub mod workspace;
