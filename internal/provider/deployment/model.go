// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// model is a hybridge_worker_deployment in plan and state.
type model struct {
	Worker          types.String   `tfsdk:"worker"`
	Plane           types.String   `tfsdk:"plane"`
	VersionID       types.String   `tfsdk:"version_id"`
	Message         types.String   `tfsdk:"message"`
	OverwriteUnseen types.Bool     `tfsdk:"overwrite_unseen"`
	AllowChanged    types.Bool     `tfsdk:"allow_changed_secrets"`
	Rollout         types.Object   `tfsdk:"rollout"`
	RollbackTo      types.String   `tfsdk:"rollback_to"`
	RollbackID      types.String   `tfsdk:"rollback_version_id"`
	RollbackSecrets types.String   `tfsdk:"rollback_secrets"`
	RetryRejected   types.String   `tfsdk:"retry_rejected"`
	OnRejected      types.String   `tfsdk:"on_rejected"`
	BurnedSecrets   types.Set      `tfsdk:"burned_secrets"`
	KeepVersions    types.Int64    `tfsdk:"keep_versions"`
	Timeouts        timeouts.Value `tfsdk:"timeouts"`
	AccountID       types.String   `tfsdk:"account_id"`
	ID              types.String   `tfsdk:"id"`
	ActiveVersions  types.Map      `tfsdk:"active_versions"`
	CreatedOn       types.String   `tfsdk:"created_on"`
	Author          types.String   `tfsdk:"author"`
	Source          types.String   `tfsdk:"source"`

	Residency             types.Set  `tfsdk:"residency"`
	ResidencyAcknowledged types.Bool `tfsdk:"residency_acknowledged"`
}

// shares is what the target asks for in the end.
func (m model) shares() []cloudflare.Share {
	return []cloudflare.Share{{VersionID: m.target().ValueString(), Percentage: 100}}
}

// activeVersions writes shares as a map. A version named twice counts once, with
// the sum.
func activeVersions(shares []cloudflare.Share) types.Map {
	percent := make(map[string]float64, len(shares))
	for _, s := range shares {
		percent[s.VersionID] += s.Percentage
	}
	elements := make(map[string]attr.Value, len(percent))
	for id, p := range percent {
		elements[id] = types.Float64Value(p)
	}
	return types.MapValueMust(types.Float64Type, elements)
}

// liveVersions are the ids in active_versions, sorted.
func (m model) liveVersions() []string { return slices.Sorted(maps.Keys(m.ActiveVersions.Elements())) }

// setLive writes what is live, and never what is wanted.
func (m *model) setLive(d *cloudflare.Deployment, account string) {
	m.AccountID = types.StringValue(account)
	m.ID = types.StringValue(d.ID)
	m.ActiveVersions = activeVersions(d.Versions)
	m.CreatedOn = types.StringValue(timestamp(d.CreatedOn))
	m.Author = tfkit.NullIfEmpty(d.AuthorEmail)
	m.Source = tfkit.NullIfEmpty(d.Source)
	if m.Rollout.IsNull() {
		m.Rollout = types.ObjectNull(rolloutType()) // of an import it has no type yet
	}
	if m.Timeouts.IsNull() {
		m.Timeouts = timeouts.Value{Object: types.ObjectNull(map[string]attr.Type{"create": types.StringType, "update": types.StringType})}
	}
	if m.Residency.IsNull() {
		m.Residency = types.SetNull(types.StringType)
	}
	if m.BurnedSecrets.IsNull() {
		m.BurnedSecrets = types.SetNull(types.StringType)
	}
	if m.OverwriteUnseen.IsNull() {
		m.OverwriteUnseen = types.BoolValue(false)
	}
}

// setUnknown marks what only the next deployment will tell.
func (m *model) setUnknown() {
	m.ID = types.StringUnknown()
	m.CreatedOn = types.StringUnknown()
	m.Author = types.StringUnknown()
	m.Source = types.StringUnknown()
}

// keepLive takes what is live over from state: nothing will be deployed. Another
// message waits for the next deployment, or a commit hash in it would plan a
// change with every commit.
func (m *model) keepLive(state model) {
	if !m.Message.IsNull() && !state.Message.IsNull() {
		m.Message = state.Message
	}
	m.ID = state.ID
	m.ActiveVersions = state.ActiveVersions
	m.CreatedOn = state.CreatedOn
	m.Author = state.Author
	m.Source = state.Source
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (m model) residency() tfkit.Residency {
	return tfkit.Residency{Allowed: m.Residency, Acknowledged: m.ResidencyAcknowledged}
}
