#!/bin/sh
@HEADER@# Installs the Hybridge agent, or brings it to what this file says; repeat it at any time. It holds
# no secret. Nothing is changed before every download has the checksum written here, and the
# configuration is one that the new program accepts.
#
#   sudo sh install.sh
#
# HYBRIDGE_ROOT=/mnt installs into an image or another root directory instead.
set -eu
umask 022
root=${HYBRIDGE_ROOT:-}

say() { printf 'hybridge: %s\n' "$*"; }
fail() {
	printf 'hybridge: %s\n' "$*" >&2
	exit 1
}

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
	fail "this needs root: sudo sh $0"
fi
case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "there is no program for $(uname -m)" ;;
esac
for tool in awk cmp gzip mktemp sha256sum systemctl systemd-sysusers tar; do
	command -v "$tool" >/dev/null || fail "$tool is missing: install it and repeat this"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/bin"

sha256() { sha256sum "$1" | awk '{ print $1 }'; }

fetch() {
	case $1 in
	file://*) cp "${1#file://}" "$2" || fail "reading $1" ;;
	*)
		if command -v curl >/dev/null; then
			curl --fail --silent --show-error --location --retry 5 --connect-timeout 20 --output "$2" "$1" || fail "downloading $1"
		elif command -v wget >/dev/null; then
			wget --quiet --tries=5 --timeout=20 --output-document="$2" "$1" || fail "downloading $1"
		else
			fail "curl is missing: install it and repeat this"
		fi
		;;
	esac
}

# program NAME URL SHA256 puts a program into $work/bin, unless it is installed.
program() {
	target=$root@PROGRAMS@/$1
	if [ -f "$target" ] && [ -f "$target.sha256" ] && [ "$(cat "$target.sha256")" = "$3 $(sha256 "$target")" ]; then
		return
	fi
	say "downloading $2"
	fetch "$2" "$work/download"
	got=$(sha256 "$work/download")
	[ "$got" = "$3" ] || fail "$2 has the SHA-256 $got, not $3: nothing was changed. Do not use it before you know why"
	case $2 in
	*.tar.gz | *.tgz) tar -xzOf "$work/download" "$1" >"$work/bin/$1" || fail "$2 has no file $1" ;;
	*.gz) gzip -dc "$work/download" >"$work/bin/$1" || fail "$2 cannot be unpacked" ;;
	*) mv "$work/download" "$work/bin/$1" ;;
	esac
	rm -f "$work/download"
	chmod 0755 "$work/bin/$1"
	printf '%s %s\n' "$3" "$(sha256 "$work/bin/$1")" >"$work/bin/$1.sha256"
}

@DOWNLOADS@
@FILES@
# The new configuration has to be one that the new program reads.
hybridge=$work/bin/hybridge
[ -f "$hybridge" ] || hybridge=$root@HYBRIDGE@
[ -x "$hybridge" ] || fail "$hybridge is missing: install it and repeat this"
CREDENTIALS_DIRECTORY=/run/credentials/@SERVICE@ "$hybridge" agent check --config "$work/agent.yaml" >/dev/null ||
	fail "nothing was changed"

# place FROM TO MODE puts a file into its place in one step. It fails if that is there already.
place() {
	if [ -f "$2" ] && cmp -s "$1" "$2"; then
		return 1
	fi
	{ cp "$1" "$2.new" && chmod "$3" "$2.new" && chgrp "$group" "$2.new" && mv -f "$2.new" "$2"; } || fail "writing $2"
	say "wrote $2"
}

mkdir -p "$root/etc/sysusers.d" "$root/etc/systemd/system" "$root@PROGRAMS@" "$root/usr/local/bin"
group=$(id -g)
printf 'u hybridge - "Hybridge agent" @DATA@\n' >"$work/sysusers"
place "$work/sysusers" "$root/etc/sysusers.d/hybridge.conf" 0644 || :
systemd-sysusers ${root:+--root="$root"} hybridge.conf
gid=$(awk -F: '$1 == "hybridge" { print $3 }' "$root/etc/group")
[ -n "$gid" ] || fail "systemd-sysusers has made no group hybridge"
# Without root, an image's files stay the user's own.
[ "$(id -u)" -ne 0 ] || group=$gid

control() { systemctl ${root:+--root="$root"} "$@"; }
booted() { [ -d "$root/run/systemd/system" ]; }

changed=
configured=
ports=
mkdir -p @DIRECTORIES@
chmod 0750 @DIRECTORIES@
chgrp "$group" @DIRECTORIES@
@MAKESTORE@
# Whoever is interrupted from here on has the agent restarted by the next run.
pending=$root@CONFIGDIR@/.pending
[ ! -f "$pending" ] || changed=1
: >"$pending"
place "$work/agent.yaml" "$root@CONFIG@" 0640 && configured=1
group=$(id -g)
for name in hybridge workerd cloudflared; do
	if [ -f "$work/bin/$name" ]; then
		rm -f "$root@PROGRAMS@/$name.sha256"
		place "$work/bin/$name" "$root@PROGRAMS@/$name" 0755 && changed=1
		place "$work/bin/$name.sha256" "$root@PROGRAMS@/$name.sha256" 0644 || :
	fi
done
@LINK@place "$work/@SERVICE@" "$root/etc/systemd/system/@SERVICE@" 0644 && changed=1
@SOCKET@
control --quiet enable @ENABLE@
if ! booted; then
	rm -f "$pending"
	say "installed; the agent starts with the machine"
	exit 0
fi
control daemon-reload
missing=
for name in @SECRETS@; do
	[ -e "$root@STORE@/$name" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
	"$hybridge" agent enroll --key "$root@CONFIGDIR@/age-identity" --secrets "$root@CONFIGDIR@/secrets.enc.yaml" || :
	say "installed, and not started: these secrets are not on this machine yet:$missing"
	cat <<'HYBRIDGE_EOF'
Bring each of them, for instance from a SOPS file on your own machine:
  sops decrypt --extract '["NAME"]' secrets.enc.yaml | ssh MACHINE @BRING@
then:
  ssh MACHINE sudo systemctl start @SERVICE@
HYBRIDGE_EOF
	exit 0
fi
if [ -n "$ports" ]; then
	control stop @SERVICE@
	control restart @SOCKETUNIT@
	changed=1
fi
if [ -n "$changed" ] || ! control --quiet is-active @SERVICE@; then
	control restart @SERVICE@
elif [ -n "$configured" ]; then
	control reload @SERVICE@
	say "the configuration is read again; \"hybridge status\" names what needs a restart"
fi
rm -f "$pending"
say "@SERVICE@ runs; \"hybridge status\" says how it is"
