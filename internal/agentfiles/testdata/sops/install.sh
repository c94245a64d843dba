#!/bin/sh
# Rendered by provider::hybridge::agent_files, format 1. Change it in Terraform, not here.
# Installs the Hybridge agent, or brings it to what this file says; repeat it at any time. It holds
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
	target=$root/usr/lib/hybridge/$1
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

case $arch in
amd64)
	program hybridge 'https://github.com/hybridge/terraform-provider-hybridge/releases/download/v0.1.0/hybridge_0.1.0_linux_amd64.tar.gz' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
	program workerd 'https://github.com/cloudflare/workerd/releases/download/v1.20251101.0/workerd-linux-64.gz' cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
	program cloudflared 'https://mirror.example.com/cloudflared/2025.11.1/cloudflared-linux-amd64' bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
	;;
arm64)
	program hybridge 'https://github.com/hybridge/terraform-provider-hybridge/releases/download/v0.1.0/hybridge_0.1.0_linux_arm64.tar.gz' bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
	program workerd 'https://github.com/cloudflare/workerd/releases/download/v1.20251101.0/workerd-linux-arm64.gz' dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
	program cloudflared 'https://mirror.example.com/cloudflared/2025.11.1/cloudflared-linux-arm64' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
	;;
*) fail "no checksum is given for $arch" ;;
esac

cat >"$work/agent.yaml" <<'HYBRIDGE_EOF'
# Rendered by provider::hybridge::agent_files, format 1. Change it in Terraform, not here.
format: 1
region: "fr"
data_dir: "/var/lib/hybridge"
plane:
  api:
    listen: "unix:///run/hybridge/api.sock"
  workerd: "/usr/lib/hybridge/workerd"
  allow_egress:
    - "10.1.2.3/32"
ingress:
  listen:
    - address: "127.0.0.1:8787"
    - address: ":443"
      tls: true
  certificates:
    - cert_file: "/etc/hybridge/tls/app.crt"
      key_file: "/etc/hybridge/tls/app.key"
  zones:
    "example.com":
      hostnames:
        "app.example.com": { worker: "api" }
        "www.example.com": { worker: "site" }
    "example.org": { hostnames: {} }
connectors:
  "paris-1":
    tunnel_id: "5f1b0c3a-0000-4000-8000-000000000001"
    cloudflared: "/usr/lib/hybridge/cloudflared"
    token_sops:
      file: "/etc/hybridge/secrets.enc.yaml"
      key: "tunnel-paris-1"
      age_identity_file: "${CREDENTIALS_DIRECTORY}/age-identity"
    metrics: "127.0.0.1:20241"
  "paris-2":
    tunnel_id: "5f1b0c3a-0000-4000-8000-000000000002"
    cloudflared: "/usr/lib/hybridge/cloudflared"
    token_from_api:
      account_id: "0123456789abcdef0123456789abcdef"
      api_token_sops:
        file: "/etc/hybridge/secrets.enc.yaml"
        key: "api-paris-2"
        age_identity_file: "${CREDENTIALS_DIRECTORY}/age-identity"
health:
  listen: "127.0.0.1:8790"
  token_file: "${CREDENTIALS_DIRECTORY}/health-token"
alerts:
  webhooks:
    - url: "https://ops.example.com/hook"
      secret_file: "${CREDENTIALS_DIRECTORY}/webhook-ops"
  certificate_expiry: "48h"
  disk_free: "5%"
log:
  level: "debug"
HYBRIDGE_EOF
cat >"$work/hybridge-agent.service" <<'HYBRIDGE_EOF'
# Rendered by provider::hybridge::agent_files, format 1. Change it in Terraform, not here.
[Unit]
Description=Hybridge agent
Wants=network-online.target
After=network-online.target
Requires=hybridge-agent.socket
After=hybridge-agent.socket
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/lib/hybridge/hybridge agent --config /etc/hybridge/agent.yaml
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStartSec=180
TimeoutStopSec=120
KillMode=mixed
OOMPolicy=continue
User=hybridge
Group=hybridge
UMask=0077
StateDirectory=hybridge
StateDirectoryMode=0700
RuntimeDirectory=hybridge
RuntimeDirectoryMode=0750
LoadCredential=age-identity:/etc/hybridge/age-identity
LoadCredentialEncrypted=health-token:/etc/credstore.encrypted/health-token
LoadCredentialEncrypted=webhook-ops:/etc/credstore.encrypted/webhook-ops
LimitNOFILE=1048576
LimitCORE=0

# What it may do. MemoryDenyWriteExecute= is not among it: workerd compiles JavaScript.
AmbientCapabilities=
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service @pkey
SystemCallFilter=~@privileged
# The agent asks the kernel whether its clock is right; without a capability it cannot set it.
SystemCallFilter=adjtimex clock_adjtime

[Install]
WantedBy=multi-user.target
HYBRIDGE_EOF
cat >"$work/hybridge-agent.socket" <<'HYBRIDGE_EOF'
# Rendered by provider::hybridge::agent_files, format 1. Change it in Terraform, not here.
[Unit]
Description=Ports of the Hybridge agent's ingress

[Socket]
ListenStream=127.0.0.1:8787
ListenStream=443
Service=hybridge-agent.service
Backlog=4096
NoDelay=yes

[Install]
WantedBy=sockets.target
HYBRIDGE_EOF

# The new configuration has to be one that the new program reads.
hybridge=$work/bin/hybridge
[ -f "$hybridge" ] || hybridge=$root/usr/lib/hybridge/hybridge
[ -x "$hybridge" ] || fail "$hybridge is missing: install it and repeat this"
CREDENTIALS_DIRECTORY=/run/credentials/hybridge-agent.service "$hybridge" agent check --config "$work/agent.yaml" >/dev/null ||
	fail "nothing was changed"

# place FROM TO MODE puts a file into its place in one step. It fails if that is there already.
place() {
	if [ -f "$2" ] && cmp -s "$1" "$2"; then
		return 1
	fi
	{ cp "$1" "$2.new" && chmod "$3" "$2.new" && chgrp "$group" "$2.new" && mv -f "$2.new" "$2"; } || fail "writing $2"
	say "wrote $2"
}

mkdir -p "$root/etc/sysusers.d" "$root/etc/systemd/system" "$root/usr/lib/hybridge" "$root/usr/local/bin"
group=$(id -g)
printf 'u hybridge - "Hybridge agent" /var/lib/hybridge\n' >"$work/sysusers"
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
mkdir -p "$root/etc/hybridge" "$root/etc/hybridge/tls"
chmod 0750 "$root/etc/hybridge" "$root/etc/hybridge/tls"
chgrp "$group" "$root/etc/hybridge" "$root/etc/hybridge/tls"
[ -d "$root/etc/credstore.encrypted" ] || mkdir -m 0700 "$root/etc/credstore.encrypted"

# Whoever is interrupted from here on has the agent restarted by the next run.
pending=$root/etc/hybridge/.pending
[ ! -f "$pending" ] || changed=1
: >"$pending"
place "$work/agent.yaml" "$root/etc/hybridge/agent.yaml" 0640 && configured=1
group=$(id -g)
for name in hybridge workerd cloudflared; do
	if [ -f "$work/bin/$name" ]; then
		rm -f "$root/usr/lib/hybridge/$name.sha256"
		place "$work/bin/$name" "$root/usr/lib/hybridge/$name" 0755 && changed=1
		place "$work/bin/$name.sha256" "$root/usr/lib/hybridge/$name.sha256" 0644 || :
	fi
done
ln -sf /usr/lib/hybridge/hybridge "$root/usr/local/bin/hybridge"
place "$work/hybridge-agent.service" "$root/etc/systemd/system/hybridge-agent.service" 0644 && changed=1
place "$work/hybridge-agent.socket" "$root/etc/systemd/system/hybridge-agent.socket" 0644 && ports=1
control --quiet enable hybridge-agent.service hybridge-agent.socket
if ! booted; then
	rm -f "$pending"
	say "installed; the agent starts with the machine"
	exit 0
fi
control daemon-reload
# The machine makes its own key, which never leaves it, and says whom to encrypt its file for.
"$hybridge" agent enroll --key "$root/etc/hybridge/age-identity" --secrets "$root/etc/hybridge/secrets.enc.yaml" ||
	fail "installed, and not started: bring another $root/etc/hybridge/secrets.enc.yaml, and repeat this"
if [ ! -f "$root/etc/hybridge/secrets.enc.yaml" ]; then
	say "installed, and not started: the SOPS file is not on this machine yet. Bring it, and repeat this:"
	say "  ssh MACHINE sudo install -m 0640 -g hybridge /dev/stdin /etc/hybridge/secrets.enc.yaml <secrets.enc.yaml"
	exit 0
fi
missing=
for name in health-token webhook-ops; do
	[ -e "$root/etc/credstore.encrypted/$name" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
	say "installed, and not started: these secrets are not on this machine yet:$missing"
	cat <<'HYBRIDGE_EOF'
Bring each of them, for instance from a SOPS file on your own machine:
  sops decrypt --extract '["NAME"]' secrets.enc.yaml | ssh MACHINE sudo systemd-creds encrypt --name=NAME - /etc/credstore.encrypted/NAME
then:
  ssh MACHINE sudo systemctl start hybridge-agent.service
HYBRIDGE_EOF
	exit 0
fi
if [ -n "$ports" ]; then
	control stop hybridge-agent.service
	control restart hybridge-agent.socket
	changed=1
fi
if [ -n "$changed" ] || ! control --quiet is-active hybridge-agent.service; then
	control restart hybridge-agent.service
elif [ -n "$configured" ]; then
	control reload hybridge-agent.service
	say "the configuration is read again; \"hybridge status\" names what needs a restart"
fi
rm -f "$pending"
say "hybridge-agent.service runs; \"hybridge status\" says how it is"
