#!/usr/bin/env bash
# Builds the machine of the book's pages, and fills a directory with what a page loads: machine.sh DIRECTORY [SOURCE].
# SOURCE is that of its rootfs: alpine, busybox, or an x86 tarball [default: the first of the two that works].
set -euo pipefail
out=$1 source=${2:-}
cd "$(dirname "$0")/../.."
stop() { echo "book live: $1" >&2; exit 1; }
need() { command -v "$1" >/dev/null || stop "there is no $1: install $2"; }
command -v apt-get >/dev/null || stop "there is no apt-get: build the machine on Debian or Ubuntu"
target=i686-unknown-linux-musl
[ -d "$(rustc --print target-libdir --target $target)" ] || stop "Rust has no $target: \`rustup target add $target\`"
need bsdtar libarchive-tools
need zstd zstd
need npm "nodejs and npm"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] || stop "there is no $keys: install debian-archive-keyring"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root debian=$work/debian
mkdir -p "$out" "$work"/{lists,cache/archives}/partial "$debian" "$root"/{bin,etc,lib,mini-docker,usr/bin,usr/local/bin}

# Debian 12 is the last with a kernel for 32 bits. apt checks the signatures, and keeps its lists here.
echo "deb [signed-by=$keys] http://deb.debian.org/debian bookworm main" >"$work/sources.list"
apt_() {
    "apt-$1" -qq -oAPT::Architecture=i386 -oAPT::Architectures=i386 -oAPT::Sandbox::User=root \
        -oDir::Etc::SourceList="$work/sources.list" -oDir::Etc::SourceParts=/dev/null -oDir::State::Lists="$work/lists" \
        -oDir::State::status=/dev/null -oDir::Cache="$work/cache" "${@:2}"
}
apt_ get update || stop "Debian's packages can't be reached"
kernel=$(apt_ cache depends linux-image-686 | grep -o 'linux-image-[0-9]*\.[0-9.-]*-686')
packages=("$kernel" busybox-static seabios libc6 libcap-ng0 util-linux strace)
(cd "$work" && apt_ get download "${packages[@]}")
for package in "$work"/*.deb; do dpkg-deb --extract "$package" "$debian"; done

# As small as possible. No C compiler for 32 bits is needed, because Rust's own linker links them.
export CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_RUSTFLAGS="-Clinker=rust-lld -Copt-level=s -Cpanic=abort -Cstrip=symbols"
steps=(step0*)
cargo build --quiet --release --locked --target $target "${steps[@]/#/--package=}"
cargo build --quiet --release --locked --target $target --package step03-chroot --package lab --example escape --example host
built=$(cargo metadata --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*' | cut -d'"' -f4)/$target/release

cp book/live/init "$root"
cp -r book/live/host/. "$root"
cp "$debian/bin/busybox" "$root/bin"
cp "${steps[@]/#/$built/}" "$built"/examples/host "$root/usr/local/bin"
mkdir -p "$root/usr/local/lib"
cp "$built/examples/escape" "$root/usr/local/lib"
cp --parents step0*/src/main.rs step0*/examples/*.rs "$root/mini-docker"
# What BusyBox doesn't have: a setpriv that drops capabilities, an unshare that leaves the propagation as it is, and strace.
cp "$debian"/usr/bin/{setpriv,strace} "$root/usr/local/bin"
cp "$debian/usr/bin/unshare" "$root/usr/bin"
find "$debian" \( -name ld-linux.so.2 -o -name libc.so.6 -o -name libcap-ng.so.0 \) -exec cp --dereference {} "$root/lib" \;

origin=https://git.alpinelinux.org/aports/
rootfs() { cargo xtask rootfs --to "$root/mini-docker/rootfs" --source "$@"; }
alpine() {
    # The pinned release for this architecture, as Alpine's Docker images have it.
    local release=3.19.4 file sum
    file=alpine-minirootfs-$release-x86.tar.gz
    sum=acc290d1df5dad86910b2b6d1022b4f9b24e40384654b5e51689e54bac698eb222b3b3c14e01174c4e9188621af4acfdc46e87c6c5ff2a056d481978840a793e
    curl --fail --silent --show-error --location --proto =https --connect-timeout 5 --max-time 120 --output "$work/$file" \
        "https://dl-cdn.alpinelinux.org/alpine/v3.19/releases/x86/$file" && rootfs "$work/$file" --sha512 $sum && made="Alpine $release"
}
busybox() {
    # The layout and the links are those of this machine's BusyBox, and the program is the other one.
    rootfs busybox && cp "$debian/bin/busybox" "$root/mini-docker/rootfs/bin" && made="BusyBox, laid out like Alpine" origin=https://busybox.net/ &&
        echo "xtask/maintain/tests/steps/snapshots/steps__alpine__on_alpine__busybox.snap: this copy's machine has no Alpine." >"$out/differences.txt"
}
case $source in
    alpine | busybox) $source ;;
    "") alpine || busybox ;;
    *) rootfs "$source" && made=$(basename "$source" .tar.gz) ;;
esac || stop "no rootfs for the machine"
rm "$root/mini-docker/rootfs/etc/mini-docker"

# Part, version, licence and source: the page about the machine shows these.
part() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$out/manifest.tsv"; }
debian_part() { part "$3" "Debian $(dpkg-deb --field "$work/$1"_*.deb Version)" "$4" "https://sources.debian.org/src/$2/"; }
: >"$out/manifest.tsv"
debian_part "$kernel" linux "Linux" GPL-2.0
debian_part busybox-static busybox BusyBox GPL-2.0
debian_part seabios seabios SeaBIOS LGPL-3.0
debian_part libc6 glibc "GNU C library" LGPL-2.1
debian_part libcap-ng0 libcap-ng libcap-ng LGPL-2.1
debian_part util-linux util-linux "setpriv and unshare of util-linux" GPL-2.0
debian_part strace strace strace LGPL-2.1
part "The rootfs" "$made" "that of each package" "$origin"

(cd "$root" && bsdtar --create --format newc --uid 0 --gid 0 --file - .) | zstd --quiet -19 >"$work/initrd"
(cd book/live && npm ci --silent)
modules=book/live/node_modules
cp $modules/v86/build/{libv86.mjs,v86.wasm} $modules/@xterm/xterm/{lib/xterm.mjs,css/xterm.css} $modules/@xterm/addon-fit/lib/addon-fit.mjs \
    book/live/page/machine.mjs "$out"
# For the pages, because few servers compress it. The name doesn't end with .gz, which some servers would unpack for the browser.
gzip -9 --no-name <"$out/v86.wasm" >"$out/v86.wasm.z"
cp $modules/v86/LICENSE "$out/LICENSE-v86"
cp $modules/@xterm/xterm/LICENSE "$out/LICENSE-xterm"
cp "$debian/boot/vmlinuz-"* "$work/vmlinuz"
cp "$debian"/usr/share/seabios/{bios,vgabios-stdvga}.bin "$work"
npm_part() { part "$1" "$(node -p "require('./$modules/$2/package.json').version")" "$3" "https://www.npmjs.com/package/$2" -; }
npm_part v86 v86 BSD-2-Clause
npm_part xterm.js @xterm/xterm MIT
node book/live/boot.mjs "$out" "$work"
zstd --quiet --rm -T0 -19 "$out/machine"
