// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// storedToken is what the descriptions of every api_token say.
const storedToken = "Terraform does not store the provider block in the state, but an ordinary variable that feeds this ends up in a saved plan file: " +
	"give it an ephemeral value, or use `api_token_sops`."

// tokenSOPSAttribute is the attribute api_token_sops; description says of which
// plane, and what holds without it.
func tokenSOPSAttribute(description string) schema.SingleNestedAttribute {
	return sealedAttribute(description+" It is decrypted when the plane is sent its first request, so a plane whose token cannot be decrypted "+
		"stops only what asks it something; `sops` says with what.", "token", "`cloudflare.api_token` or `tokens[0]`")
}

// sealedAttribute is an attribute that names a value in a SOPS file.
func sealedAttribute(description, what, example string) schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: description,
		Attributes: map[string]schema.Attribute{
			"file": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "Path of the SOPS file. Its format is that of its name: `.yaml`, `.yml`, `.json`, `.env`, `.ini`, else binary. " +
					"A relative path counts from the working directory: begin it with `${path.module}`.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"key": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "Key path of the " + what + " in the file, e.g. " + example + "; `data` for a binary file. " +
					"The value must be encrypted; a line break at its end does not count.",
				Validators: []validator.String{tfkit.KeyPath()},
			},
		},
	}
}

// sealedToken says where an API token, or another key of a plane, lies.
type sealedToken struct {
	where string // the attribute as the user would find it
	file  string
	key   sealed.Path
	valid func(text string) error
}

// tokenAt reads an attribute such as api_token_sops; nil if it is not set. The value
// MUST be known. where names it in errors; valid says what is wrong with what lies
// there, without repeating it.
func tokenAt(v types.Object, where string, valid func(string) error) (*sealedToken, error) {
	if v.IsNull() {
		return nil, nil
	}
	text := func(name string) string {
		s, _ := v.Attributes()[name].(types.String)
		return s.ValueString()
	}
	key, err := sealed.ParsePath(text("key"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return &sealedToken{where: where, file: text("file"), key: key, valid: valid}, nil
}

// check reports what can be known without a key: a missing file, a wrong key path.
func (t *sealedToken) check(secrets *sealed.Store) error {
	f, err := secrets.File(t.file, "")
	if err == nil {
		err = f.Scalar(t.key)
	}
	return t.located(err)
}

// read decrypts the token.
func (t *sealedToken) read(ctx context.Context, secrets *sealed.Store) (string, error) {
	secret, err := secrets.Secret(ctx, t.file, "", t.key)
	if err != nil {
		return "", t.located(err)
	}
	text := strings.TrimRight(secret.Reveal(), "\r\n")
	if err := t.valid(text); err != nil {
		return "", fmt.Errorf("%s: %s: key %s: %w", t.where, t.file, t.key, err)
	}
	return text, nil
}

// located adds the attribute and, where they lack, file and key path.
func (t *sealedToken) located(err error) error {
	var e *sealed.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.File != t.file { // about a key file
		return fmt.Errorf("%s: %s: key %s: %w", t.where, t.file, t.key, e)
	}
	at := *e
	if at.Key == "" {
		at.Key = t.key.String()
	}
	return fmt.Errorf("%s: %w", t.where, &at)
}
