// SPDX-License-Identifier: MPL-2.0

// Package sops is the ephemeral resource hybridge_sops_file: what a SOPS file
// holds, for arguments that Terraform does not store.
package sops

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

var (
	_ ephemeral.EphemeralResource              = (*ephemeralResource)(nil)
	_ ephemeral.EphemeralResourceWithConfigure = (*ephemeralResource)(nil)
)

type ephemeralResource struct{ tfkit.EphemeralResource }

// NewEphemeralResource makes the ephemeral resource hybridge_sops_file.
func NewEphemeralResource() ephemeral.EphemeralResource { return &ephemeralResource{} }

func (e *ephemeralResource) Metadata(_ context.Context, _ ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = "hybridge_sops_file"
}

func (e *ephemeralResource) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = ephemeralSchema()
}

// Open decrypts. There is nothing to renew and nothing to close: the values live
// as long as the provider's process.
func (e *ephemeralResource) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := m.open(ctx, e.Data.Secrets); err != nil {
		resp.Diagnostics.Append(failed(err, m))
		return
	}
	resp.Diagnostics.Append(resp.Result.Set(ctx, m)...)
}

// failed places an error at the attribute that is to blame.
func failed(err error, m model) diag.Diagnostic {
	at := path.Root("file")
	if tfkit.AboutKey(err) && !m.Key.IsNull() {
		at = path.Root("key")
	}
	return tfkit.SealedFailed(at, err)
}

// open fills in what the file holds. Every error is of internal/sealed.
func (m *model) open(ctx context.Context, secrets *sealed.Store) error {
	key, err := sealed.ParsePath(m.Key.ValueString())
	if err != nil {
		return err
	}
	file, err := secrets.File(m.File.ValueString(), sealed.Format(m.Format.ValueString()))
	if err != nil {
		return err
	}
	opened, err := secrets.Open(ctx, file)
	if err != nil {
		return err
	}
	value, err := opened.Value(key)
	if err != nil {
		return err
	}
	m.set(ctx, value)
	return nil
}
