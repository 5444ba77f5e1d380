//! The book, built so that it can't be wrong: every listing, transcript and diff is cut from its source as the book is
//! built, and what mdBook would pass over in silence fails the build, with file and line.
//!
//! mdBook is driven as a library, in this order: [`directives`] are replaced, mdBook renders with its [`warnings`]
//! caught, [`check`] reads the HTML, and only then is the new book moved to where the old one was.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod build;
pub mod check;
pub mod directives;
pub mod html;
pub mod places;
pub mod problem;
pub mod serve;
pub mod warnings;
pub mod workshop;
