#!/bin/bash
# check.sh - tests of what `make release` makes. `make test-release` runs it. It builds everything in two folders, with another
# umask, time zone and language in the second, and compares the bytes. Then it looks into the packages.
set -euo pipefail
work=$1 # a folder for the two builds; the repository is the working directory

fail() { echo "FAIL  $*" >&2; exit 1; }

sources() { git -c safe.directory='*' ls-files -z | xargs -0 ls -d 2> /dev/null | tar c -T -; }
rm -rf "$work" && mkdir -p "$work"/{first,second/in/a/deeper/folder}
for tree in "$work/first" "$work/second/in/a/deeper/folder"; do
  sources | tar x -C "$tree" && mkdir -p "$tree/build" && ln -sfn "$TOOLS" "$tree/build/tools"
done
make -C "$work/first" release VERSION="$VERSION"
(umask 077; export TZ=Asia/Tokyo LC_ALL=C.UTF-8; sleep 1; make -C "$work/second/in/a/deeper/folder" release VERSION="$VERSION")
first=$work/first/build/release second=$work/second/in/a/deeper/folder/build/release
diff -r "$first" "$second" || fail "two builds differ"
[ "$(wc -l < "$first/SHA256SUMS")" = 8 ] || fail "not two packages, an archive and a list of modules for each of two machines"
(cd "$first" && sha256sum --quiet -c SHA256SUMS)
echo "ok    two builds of release are the same"

for arch in amd64 arm64; do
  deb=$(ls "$first"/sallyport_*_$arch.deb) root=$work/first/build/package/$arch/root
  machine=$([ $arch = amd64 ] && echo x86_64 || echo aarch64)
  rpm=$(ls "$first"/sallyport-*.$machine.rpm)

  # The package has what `make install` installs. zsh's folder has another name in Debian.
  want=$(cd "$root" && find . -type f | sed 's,^\.,,; s,/zsh/site-functions/,/zsh/vendor-completions/,' | sort)
  got=$(dpkg-deb --fsys-tarfile "$deb" | tar t | grep -v '/$' | sed 's,^\.,,' | sort)
  diff <(echo "$want") <(echo "$got") || fail "$deb has other files than make install"
  dpkg-deb --fsys-tarfile "$deb" | tar t ./etc/sallyport/groups.d/ > /dev/null || fail "$deb has no groups.d"
  [ "$(dpkg-deb -f "$deb" Architecture)" = $arch ] || fail "$deb is for another machine"
  dpkg-deb -f "$deb" Depends | grep -q 'containerd .*runc' || fail "$deb does not depend on containerd and runc"
  [ "$(dpkg-deb -I "$deb" conffiles)" = "$(cd "$root" && find etc -type f | sed 's,^,/,' | sort)" ] || fail "$deb: other conffiles than the files in /etc"
  for script in postinst prerm postrm; do
    dpkg-deb -I "$deb" $script | sh -n || fail "$deb: $script"
  done
  [ -z "$(dpkg-deb --fsys-tarfile "$deb" | tar tv --numeric-owner | grep -v ' 0/0 ')" ] || fail "$deb: files that are not root's"
  [ -z "$(dpkg-deb --fsys-tarfile "$deb" | tar tv | grep -E '^.{5}w|^.{8}w')" ] || fail "$deb: files that others than root may write"
  dpkg-deb --fsys-tarfile "$deb" | tar xO ./usr/bin/sallyport > "$work/program"
  [ "$(od -An -t x1 -j 18 -N 1 "$work/program")" = "$([ $arch = amd64 ] && echo ' 3e' || echo ' b7')" ] || fail "$deb: the program is for another machine" # e_machine, elf(5)

  if command -v rpm > /dev/null; then
    got=$(rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm" | sed -n 's/^-[^ ]* //p' | sed 's,/zsh/site-functions/,/zsh/vendor-completions/,' | sort)
    diff <(echo "$want") <(echo "$got") || fail "$rpm has other files than make install"
    [ "$(rpm -qpc "$rpm")" = "$(dpkg-deb -I "$deb" conffiles)" ] || fail "$rpm has other configuration files"
  fi
  grep -q '"name": "github.com/alecthomas/kong"' "$first"/*linux-$arch.cdx.json || fail "the list of modules does not have kong"
  echo "ok    the packages for $arch"
done
