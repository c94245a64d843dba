// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// unseenError says that an apply would replace a deployment that nobody has
// agreed to replace.
type unseenError struct {
	live   cloudflare.Deployment
	create bool     // the plan has not even known that something is live
	seen   []string // ids of the versions that the plan has seen live
}

func (e *unseenError) Error() string {
	return fmt.Sprintf("deployment %s is live, which the plan has not seen", e.live.ID)
}

// onlyOurs is the rule of a Create: what Hybridge has deployed may be replaced
// (an apply was killed, or an older state restored), what somebody else has may
// not.
func onlyOurs(live *cloudflare.Deployment) error {
	if live == nil || live.Marking().Marker != "" {
		return nil
	}
	return &unseenError{live: *live, create: true}
}

// onlySeen is the rule of an Update: only the deployment that the plan has seen
// may be replaced.
func onlySeen(state model) func(*cloudflare.Deployment) error {
	return func(live *cloudflare.Deployment) error {
		if live == nil || live.ID == state.ID.ValueString() {
			return nil
		}
		return &unseenError{live: *live, seen: state.liveVersions()}
	}
}

// anything is the rule with overwrite_unseen.
func anything(*cloudflare.Deployment) error { return nil }

// failed turns an error of CreateDeployment into a diagnostic.
func (m model) failed(ctx context.Context, err error, p *tfkit.Plane) diag.Diagnostic {
	var unseen *unseenError
	if !errors.As(err, &unseen) {
		remedy := ""
		switch {
		case cloudflare.IsNotFound(err):
			remedy = fmt.Sprintf("there is no Worker %q on this plane: create it first (hybridge_worker), or correct worker", m.Worker.ValueString())
		case cloudflare.IsSecretsChanged(err) && m.isRollback():
			remedy = "what rollback_to leads to is older than a change of secrets: " + bothWays
		case cloudflare.IsSecretsChanged(err):
			remedy = fmt.Sprintf("version_id is older than a change of secrets, and has the secrets of its time. If these are still valid, set allow_changed_secrets = true "+
				"on this deployment. To go back to its code with today's secrets, set rollback_to = %q and rollback_secrets = \"current\". To go on with its code, make a new version: "+
				"terraform apply -replace=<the address of the hybridge_worker_version>, with adopt = false if it has no other content than before", m.VersionID.ValueString())
		}
		return m.attempt("create", p).FailedBecause(err, remedy)
	}
	remedy := "Run terraform plan: it shows that deployment as drift of active_versions, and the apply after it may replace it."
	if unseen.create {
		remedy = fmt.Sprintf("Adopt it with\n\n  import {\n    to = hybridge_worker_deployment.<this resource's name>\n    id = %q\n  }\n\n"+
			"and run terraform plan, which then shows what would change.",
			tfkit.ImportID{Plane: p.Name, AccountID: p.AccountID, Parts: []string{m.Worker.ValueString()}})
	}
	live := describe(unseen.live)
	// Best effort: that the secrets cannot be told is not what is wrong here.
	if s, err := p.Client.SecretChanges(ctx, m.Worker.ValueString(), unseen.live, unseen.seen); err == nil && s != nil {
		live += "\n\nA change of secrets made it:\n\n" + describeSecrets(s)
	}
	return diag.NewErrorDiagnostic("Live deployment has not been seen by the plan", fmt.Sprintf(
		"Nothing was deployed: Worker %q on %s serves a deployment that this apply would replace unseen.\n\n%s\n\n%s\n\n"+
			"To deploy over whatever is live, set overwrite_unseen = true.",
		p.WorkerName(m.Worker.ValueString()), p, live, remedy))
}

// somebody says who did it, and with what.
func somebody(author, source string) string {
	if author == "" {
		author = "unknown"
	}
	if source != "" {
		author += ", with " + source
	}
	return author
}

// describe says who deployed what and when.
func describe(d cloudflare.Deployment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  deployment  %s\n  made on     %s\n", d.ID, timestamp(d.CreatedOn))
	fmt.Fprintf(&b, "  by          %s\n", somebody(d.AuthorEmail, d.Source))
	mark := d.Marking()
	for _, line := range [...]struct{ name, value string }{
		{"in run", mark.Run.ID}, {"workspace", mark.Run.Workspace}, {"commit", mark.Run.Commit}, {"message", mark.Message},
	} {
		if line.value != "" {
			fmt.Fprintf(&b, "  %-10s  %s\n", line.name, line.value)
		}
	}
	var versions []string
	for _, s := range d.Versions {
		versions = append(versions, fmt.Sprintf("%s at %g %%", s.VersionID, s.Percentage))
	}
	slices.Sort(versions)
	fmt.Fprintf(&b, "  versions    %s", strings.Join(versions, ", "))
	return b.String()
}
