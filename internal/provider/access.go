// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// accessAttribute is the attribute access; otherwise says what holds without it.
func accessAttribute(which, otherwise string) schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "Service token of Cloudflare Access, for " + which + " if Access stands before it. It is sent with every request to this plane, and to nobody else: " +
			"a redirect is never followed. The policy of the Access application that admits it must have the action *Service Auth*. " +
			"An error where `base_url` is a unix socket or Cloudflare's own API. Default: " + otherwise,
		Attributes: map[string]schema.Attribute{
			"client_id": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Client id of the service token, e.g. `88bf3b6d86161464f6509f7219099e57.access`. It is no secret.",
				Validators:          []validator.String{tfkit.AccessClientID()},
			},
			"client_secret": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "Client secret of the service token. Exactly one of `client_secret` and `client_secret_sops` is needed. " +
					"Terraform does not store the provider block in the state, but an ordinary variable that feeds this ends up in a saved plan file: " +
					"give it an ephemeral value, or use `client_secret_sops`.",
				Validators: []validator.String{tfkit.AccessClientSecret()},
			},
			"client_secret_sops": sealedAttribute("Client secret of the service token in a SOPS file. Exactly one of `client_secret` and `client_secret_sops` is needed. "+
				"It is decrypted when the plane is sent its first request; `sops` says with what.", "client secret", "`access.client_secret`"),
		},
	}
}

// access is a service token of Cloudflare Access as it is configured.
type access struct {
	clientID string
	secret   string
	sealed   *sealedToken // where the secret lies instead; nil if secret has it
}

// accessAt reads the attribute access; nil if it is not set. The value MUST be known.
func accessAt(v types.Object, where string) (*access, error) {
	if v.IsNull() {
		return nil, nil
	}
	m := accessMembers(v)
	a := &access{clientID: m.id.ValueString(), secret: m.secret.ValueString()}
	var err error
	a.sealed, err = tokenAt(m.sops, where+".client_secret_sops", cloudflare.CheckAccessClientSecret)
	return a, err
}

type members struct {
	id, secret types.String
	sops       types.Object
}

func accessMembers(v types.Object) members {
	var m members
	m.id, _ = v.Attributes()["client_id"].(types.String)
	m.secret, _ = v.Attributes()["client_secret"].(types.String)
	m.sops, _ = v.Attributes()["client_secret_sops"].(types.Object)
	return m
}

// token is the service token as the client takes it. What can be known without a key
// is checked.
func (a *access) token(secrets *sealed.Store) (*cloudflare.Access, error) {
	if a == nil {
		return nil, nil
	}
	t := &cloudflare.Access{ClientID: a.clientID, ClientSecret: a.secret}
	if a.sealed != nil {
		if err := a.sealed.check(secrets); err != nil {
			return nil, err
		}
		t.SecretFrom = func(ctx context.Context) (string, error) { return a.sealed.read(ctx, secrets) }
	}
	return t, nil
}

// validateAccess refuses a service token that is not whole, or that can be of no use.
// at leads to the plane. isSet is whether base_url alone says where the plane is.
func validateAccess(at path.Path, v types.Object, baseURL types.String, isSet bool, diags *diag.Diagnostics) {
	if v.IsNull() || v.IsUnknown() {
		return
	}
	here := at.AtName("access")
	switch m := accessMembers(v); {
	case m.secret.IsNull() && m.sops.IsNull():
		diags.AddAttributeError(here, "Service token without a secret", fmt.Sprintf(
			"%s has neither client_secret nor client_secret_sops: set one of them.", here))
	case !m.secret.IsNull() && !m.sops.IsNull():
		diags.AddAttributeError(here, "Two secrets for one service token", fmt.Sprintf(
			"Both %s and %s are set, and nothing says which one counts: leave one of them out.", here.AtName("client_secret"), here.AtName("client_secret_sops")))
	}
	if !isSet || baseURL.IsUnknown() {
		return
	}
	if err := cloudflare.CheckAccess(baseURL.ValueString()); err != nil {
		diags.AddAttributeError(here, "Service token for what is not behind Access", tfkit.Sentence(err.Error()))
	}
}
