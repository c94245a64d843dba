// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// maxTold is how many changes of secrets a warning describes one by one.
const maxTold = 10

// warnOfSecrets says which secrets somebody changed, if that made what is live. m is
// what the state has: live is compared with what was live then, or, once the state
// has taken the drift over, with version_id. So the warning comes as long as the
// drift lasts, and costs a request only if there is one.
func (m model) warnOfSecrets(ctx context.Context, live cloudflare.Deployment, p *tfkit.Plane, diags *diag.Diagnostics) {
	before := m.liveVersions()
	if !slices.ContainsFunc(live.Versions, func(s cloudflare.Share) bool { return !slices.Contains(before, s.VersionID) }) {
		if m.VersionID.IsNull() { // it was imported just now
			return
		}
		before = []string{m.VersionID.ValueString()}
	}
	s, err := p.Client.SecretChanges(ctx, m.Worker.ValueString(), live, before)
	if err != nil {
		// What is live is known all the same.
		failure := m.attempt("look for changed secrets in the", p).Failed(err)
		diags.AddWarning(failure.Summary(), failure.Detail())
		return
	}
	if s == nil {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Worker %q on %s serves version %s, which somebody made by a change of secrets.\n\n%s\n\n", p.WorkerName(m.Worker.ValueString()), p, s.Versions[0].ID, describeSecrets(s))
	fmt.Fprintf(&b, "The next apply puts version_id back, which has the secrets of its time. If that version is older than the change, planes refuse it "+
		"(code 10220) unless allow_changed_secrets = true says that it is meant; rollback_to with rollback_secrets = \"current\" goes back to its code with the secrets that are live.\n\n")
	if kept := slices.Concat(s.Added, s.Changed, s.Suspects); len(kept) > 0 {
		fmt.Fprintf(&b, "To keep what was put on the Worker: declare it in secrets of the hybridge_worker_version, or give the value to the source of what is "+
			"declared there (%s). Or set keep_secrets = true there, for secrets that are not declared, and make a version: terraform apply -replace=<its address>.\n\n", listed(kept))
	}
	fmt.Fprintf(&b, "To go on with exactly what is live, set version_id = %q.", s.Versions[0].ID)
	diags.AddWarning("Secret was changed outside Terraform", b.String())
}

// describeSecrets says who changed which secrets and when.
func describeSecrets(s *cloudflare.SecretChanges) string {
	var b strings.Builder
	for i, v := range s.Versions {
		if i == maxTold {
			fmt.Fprintf(&b, "  and %d earlier changes\n", len(s.Versions)-i)
			break
		}
		fmt.Fprintf(&b, "  version     %s\n    made on   %s\n    by        %s\n", v.ID, timestamp(v.CreatedOn), somebody(v.AuthorEmail, v.Source))
	}
	for _, line := range [...]struct {
		name    string
		secrets []string
	}{{"added", s.Added}, {"removed", s.Removed}, {"changed", s.Changed}} {
		if len(line.secrets) > 0 {
			fmt.Fprintf(&b, "  %-10s  %s\n", line.name, listed(line.secrets))
		}
	}
	text := strings.TrimSuffix(b.String(), "\n")
	switch {
	case s.OneIsChanged():
		text += fmt.Sprintf("\n\nThe value of one of these was changed: %s; the plane does not say which.", listed(s.Suspects))
	case len(s.Suspects) > 0:
		text += fmt.Sprintf("\n\nAny of these may have got another value: %s; the plane does not say.", listed(s.Suspects))
	case len(s.Added)+len(s.Removed)+len(s.Changed) == 0:
		text += "\n\nNothing is left of it: the secrets are those that there were before."
	}
	return text
}

var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$.-]*$`)

// listed writes names; what could be taken for something else stands in quotes.
func listed(names []string) string {
	written := make([]string, len(names))
	for i, name := range names {
		written[i] = name
		if !plainName.MatchString(name) {
			written[i] = strconv.Quote(name)
		}
	}
	return strings.Join(written, ", ")
}
