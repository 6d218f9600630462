#!/bin/sh
# Compiles the unit tests of the lower layers for aarch64 and runs them under
# emulation: the context switch, above all, is not the same code there.
#
#   tests/aarch64.sh BUILD
#
# The libraries for aarch64 are unpacked below BUILD/sysroot and not installed,
# so that the machine's own packages stay as they are. That takes a system of
# Debian's kind; the tools come from `deploy/install-deps.sh check`.
set -eu

build=${1:?usage: tests/aarch64.sh BUILD}
mkdir -p "$build"
sysroot=$(cd "$build" && pwd)/sysroot
cc=aarch64-linux-gnu-gcc

die() {
    echo "tests/aarch64.sh: $*" >&2
    exit 1
}

# The first of the programs that there is.
first_of() {
    for program in "$@"; do
        command -v "$program" && return 0
    done
    return 1
}

# private_apt FOLDER COMMAND...: apt with a database of its own, in which the
# machine is an aarch64 one with nothing installed yet. It needs no root and
# changes nothing outside of the folder.
private_apt() {
    folder=$1
    shift
    apt-get -qq -y \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o APT::Install-Recommends=false \
        -o APT::Sandbox::User= \
        -o Dir::State="$folder/state" -o Dir::State::status="$folder/status" \
        -o Dir::Cache="$folder/cache" -o Debug::NoLocking=true \
        -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke= \
        -o APT::Update::Post-Invoke-Success= \
        -o APT::Keep-Downloaded-Packages=true \
        "$@" >>"$folder/log" 2>&1 </dev/null
}

fetch_sysroot() {
    apt=$sysroot.apt
    echo "  fetch  $sysroot: hiredis, libevent, jansson, cmocka for aarch64"
    rm -rf "$apt" "$sysroot.new"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    # A source that has no aarch64 packages is no harm if another has them.
    private_apt "$apt" update || true
    private_apt "$apt" install --download-only libc6-dev libcmocka-dev \
        libhiredis-dev libevent-dev libjansson-dev || {
        tail -n 10 "$apt/log" >&2
        die "apt-get could not fetch the libraries for aarch64"
    }
    unpack "$apt/cache/archives" "$sysroot.new"
    rm -rf "$apt" "$sysroot"
    mv "$sysroot.new" "$sysroot"
}

# As on an installed system /lib is a link: some packages have files in one
# place that others look for in the other.
unpack() {
    mkdir -p "$2/usr/lib"
    ln -s usr/lib "$2/lib"
    for package in "$1"/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar -x --keep-directory-symlink -C "$2"
    done
}

for tool in $cc apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || die "there is no $tool"
done
qemu=$(first_of qemu-aarch64-static qemu-aarch64) ||
    die "there is no qemu-aarch64-static or qemu-aarch64"

[ -d "$sysroot" ] || fetch_sysroot

tests=
for test in tests/unit/coro/base/test_*.c tests/unit/coro/core/test_*.c \
    tests/unit/coro/sched/test_*.c; do
    [ ! -e "$test" ] || tests="$tests $test"
done
[ -n "$tests" ] || die "there are no tests in tests/unit/coro"

# The flags that pkg-config gives are this machine's; Debian's need none.
exec make BUILD="$build" CC="$cc --sysroot=$sysroot" AR=aarch64-linux-gnu-ar \
    WRAPPER="$qemu -L $sysroot" TESTS_UNIT="$tests" test-unit
