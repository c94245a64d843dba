// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// burned is the digest of a leaked secret that the version declares; empty if it
// declares none. Secrets that it carries over from others are not known.
func (m model) burned(v *cloudflare.Version) string {
	if v == nil {
		return ""
	}
	marking := v.Marking()
	for _, element := range m.BurnedSecrets.Elements() {
		if digest, ok := element.(types.String); ok && marking.HasSecret(digest.ValueString()) {
			return digest.ValueString()
		}
	}
	return ""
}

// refuseBurned adds an error if the target declares a leaked secret. It asks for the
// versions only where burned_secrets names one.
func (m model) refuseBurned(ctx context.Context, p *tfkit.Plane, diags *diag.Diagnostics) {
	if len(m.BurnedSecrets.Elements()) == 0 || m.target().IsUnknown() {
		return
	}
	all, err := p.Client.DeployableVersions(ctx, m.Worker.ValueString())
	if err != nil {
		diags.Append(m.attempt("look for leaked secrets in the", p).Failed(err))
		return
	}
	id, at := m.target().ValueString(), path.Root("version_id")
	if m.isRollback() {
		at = path.Root("rollback_to")
	}
	if digest := m.burned(cloudflare.History{Versions: all}.Version(id)); digest != "" {
		diags.AddAttributeError(at, "Version has a leaked secret", fmt.Sprintf(
			"Worker %q on %s: version %s declares the secret with the digest %s, which burned_secrets names. Rotate the secret, so that a new version is made, or go back to another version.",
			p.WorkerName(m.Worker.ValueString()), p, id, digest))
	}
}
