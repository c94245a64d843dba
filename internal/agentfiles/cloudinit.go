// SPDX-License-Identifier: MPL-2.0

package agentfiles

import "strings"

// installPath is where the script lies on a machine that cloud-init has set up. It stays, to be
// repeated.
const installPath = "/root/hybridge-install.sh"

// cloudInit writes a cloud-config that runs the script at the first boot.
func cloudInit(script string) string {
	var b strings.Builder
	b.WriteString("#cloud-config\n" + header)
	b.WriteString("packages: [ca-certificates, curl]\nwrite_files:\n  - path: " + installPath + "\n    owner: root:root\n    permissions: \"0700\"\n    content: |\n")
	for line := range strings.Lines(script) {
		if line != "\n" {
			b.WriteString("      ")
		}
		b.WriteString(line)
	}
	b.WriteString("runcmd:\n  - [sh, " + installPath + "]\n")
	return b.String()
}
