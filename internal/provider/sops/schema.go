// SPDX-License-Identifier: MPL-2.0

package sops

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

func ephemeralSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "What a SOPS file holds, decrypted and authenticated as a whole. Terraform keeps it neither in the state nor in a plan, and lets it go only into " +
			"write-only arguments, configurations of providers and other ephemeral values.\n\n" +
			"Terraform opens it in every plan and again in every apply, so both need a key; `sops` of the provider block says which. " +
			"While `file`, `key` or `format` is unknown, it waits until they are known. No plane is asked.",
		Attributes: map[string]schema.Attribute{
			"file": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Path of the SOPS file. A relative path counts from the working directory: begin it with `${path.module}`.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"key": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Key path of what is wanted: `db.password`, `hosts[0].token`, `[\"name.with.dots\"]`; a map or a list may be named too. " +
					"Default: the whole file.",
				Validators: []validator.String{tfkit.KeyPath()},
			},
			"format": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How the file is written: `" + strings.Join(sealed.Formats(), "`, `") + "`. " +
					"Default: by the ending of its name, `.yaml`, `.yml`, `.json`, `.env` or `.ini`, else `binary`.",
				Validators: []validator.String{stringvalidator.OneOf(sealed.Formats()...)},
			},
			"value": schema.DynamicAttribute{
				Computed:  true,
				Sensitive: true,
				MarkdownDescription: "What the file holds at `key`, with its types: maps are objects, lists are tuples, numbers and booleans stay what they are, times are texts as in RFC 3339, " +
					"and so are the numbers that Terraform does not have, such as `.inf`.",
			},
			"text": schema.StringAttribute{
				Computed:            true,
				Sensitive:           true,
				MarkdownDescription: "The value as text, as an environment variable would hold it, if it is a single one or the file is binary; null for a map or a list.",
			},
		},
	}
}
