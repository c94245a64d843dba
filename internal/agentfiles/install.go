// SPDX-License-Identifier: MPL-2.0

package agentfiles

import (
	_ "embed" // the texts of a format are files
	"strings"
)

var (
	//go:embed format1/install.sh
	installText string
	//go:embed format1/enrol.sh
	enrolText string // what a machine with a SOPS file does besides
)

// heredocEnd ends texts within the script. No file has such a line: names cannot
// have capitals, and the texts of a format do not have it.
const heredocEnd = "HYBRIDGE_EOF"

// releases are where programs come from, unless the input says otherwise.
var releases = map[string]map[string]string{
	"hybridge": {
		"amd64": "https://github.com/hybridge/terraform-provider-hybridge/releases/download/v{version}/hybridge_{version}_linux_amd64.tar.gz",
		"arm64": "https://github.com/hybridge/terraform-provider-hybridge/releases/download/v{version}/hybridge_{version}_linux_arm64.tar.gz",
	},
	"workerd": {
		"amd64": "https://github.com/cloudflare/workerd/releases/download/v{version}/workerd-linux-64.gz",
		"arm64": "https://github.com/cloudflare/workerd/releases/download/v{version}/workerd-linux-arm64.gz",
	},
	"cloudflared": {
		"amd64": "https://github.com/cloudflare/cloudflared/releases/download/{version}/cloudflared-linux-amd64",
		"arm64": "https://github.com/cloudflare/cloudflared/releases/download/{version}/cloudflared-linux-arm64",
	},
}

// install writes the script, which carries the files that it puts into place. What goes into
// it was checked to have nothing that a shell reads as anything else.
func (in *input1) install(files map[string]string) string {
	var here strings.Builder
	for _, name := range []string{AgentYAML, Service, Socket} {
		if text, ok := files[name]; ok {
			here.WriteString("cat >\"$work/" + name + "\" <<'" + heredocEnd + "'\n" + text + heredocEnd + "\n")
		}
	}
	directories := `"$root` + configDir + `"`
	if in.ingress != nil && len(in.ingress.certificates) > 0 {
		directories += ` "$root` + tlsDir + `"`
	}
	secrets := in.secrets()
	makeStore := ""
	switch {
	case len(secrets) == 0:
	case in.unit.load == loadFiles:
		directories += ` "$root` + secretsDir + `"`
	default:
		makeStore = `[ -d "$root` + in.store() + `" ] || mkdir -m 0700 "$root` + in.store() + "\"\n"
	}
	link := ""
	if in.programs["hybridge"].path == "" {
		link = "ln -sf " + programDir + "/hybridge \"$root/usr/local/bin/hybridge\"\n"
	}
	enable := Service
	socket := "former=$root/etc/systemd/system/" + Socket + `
if [ -f "$former" ]; then # of a configuration that had an ingress
	control --quiet disable ` + Socket + `
	booted && control stop ` + Service + " " + Socket + `
	rm -f "$former"
	changed=1
fi`
	if in.ingress != nil {
		enable += " " + Socket
		socket = `place "$work/` + Socket + `" "$root/etc/systemd/system/` + Socket + `" 0644 && ports=1`
	}
	text := installText
	if in.fromSOPS() {
		text = strings.Replace(text, "missing=\n", enrolText+"missing=\n", 1)
		// It has enrolled already.
		text = strings.Replace(text, "	\"$hybridge\" agent enroll --key \"$root@CONFIGDIR@/age-identity\" --secrets \"$root@CONFIGDIR@/secrets.enc.yaml\" || :\n", "", 1)
	}
	if len(secrets) == 0 {
		text = cut(text, "missing=\n", "if [ -n \"$ports\" ]")
	}
	if in.ingress == nil {
		text = cut(text, "if [ -n \"$ports\" ]", "if [ -n \"$changed\" ]")
		text = strings.Replace(text, "ports=\n", "", 1)
	}
	return fill(text, map[string]string{
		"HEADER": header, "PROGRAMS": programDir, "DOWNLOADS": in.downloads(), "FILES": here.String(),
		"HYBRIDGE": in.program("hybridge"), "SERVICE": Service, "DATA": dataDir, "CONFIGDIR": configDir, "CONFIG": configDir + "/" + AgentYAML,
		"DIRECTORIES": directories, "MAKESTORE": makeStore, "LINK": link, "SOCKET": socket, "SOCKETUNIT": Socket, "ENABLE": enable,
		"SECRETS": strings.Join(secrets, " "), "STORE": in.store(), "BRING": in.bring(),
	})
}

// cut takes out what stands from one text up to another.
func cut(text, from, to string) string {
	before, rest, _ := strings.Cut(text, from)
	_, after, _ := strings.Cut(rest, to)
	return before + to + after
}

func (in *input1) downloads() string {
	var b strings.Builder
	for _, arch := range architectures {
		var lines []string
		for _, name := range programNames {
			p := in.programs[name]
			if p == nil || p.path != "" || p.sha256[arch] == "" {
				continue
			}
			url := p.url
			if url == "" {
				url = releases[name][arch]
			}
			url = strings.NewReplacer("{version}", p.version, "{arch}", arch).Replace(url)
			lines = append(lines, "\tprogram "+name+" '"+url+"' "+p.sha256[arch]+"\n")
		}
		if len(lines) > 0 {
			b.WriteString(arch + ")\n" + strings.Join(lines, "") + "\t;;\n")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "case $arch in\n" + b.String() + "*) fail \"no checksum is given for $arch\" ;;\nesac\n"
}

// bring is the command on the machine that takes a secret called NAME from its input.
func (in *input1) bring() string {
	switch in.unit.load {
	case loadPlain:
		return "sudo install -m 0400 /dev/stdin " + in.store() + "/NAME"
	case loadFiles:
		return "sudo install -m 0400 -o hybridge /dev/stdin " + in.store() + "/NAME"
	default:
		return "sudo systemd-creds encrypt --name=NAME - " + in.store() + "/NAME"
	}
}
