// SPDX-License-Identifier: MPL-2.0

package version

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

func secretAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"secrets": schema.MapNestedAttribute{
			Optional: true,
			MarkdownDescription: "Secrets by the name of their binding. No value is ever in a plan or in state. A secret is part of the version: another one is " +
				"another `secret_digests` entry, and so a new version. Each needs either `sops_file` (with `key`) or `value_wo` (with `value_wo_version`). Default: none.",
			Validators: []validator.Map{mapvalidator.KeysAre(tfkit.BindingName()), tfkit.NoNulls{}},
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"sops_file": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Path of a SOPS file, e.g. `\"${path.module}/prod.enc.yaml\"`; its ending tells the format. The plan needs no key: the digest is " +
						"that of the ciphertext. The apply opens it with the identities of the provider's `sops`.",
				},
				"key": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Where in the file the value is, e.g. `db.password`, `hosts[0].token` or `[\"name.with.dots\"]`. It must be one encrypted value; numbers and " +
						"booleans become text. Required but for binary files.",
				},
				"value_wo": schema.StringAttribute{
					Optional:            true,
					WriteOnly:           true,
					MarkdownDescription: "The value itself, from any ephemeral source. It is write-only, so a change of it alone is not seen: `value_wo_version` has to change with it.",
				},
				"value_wo_version": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Any text that changes whenever `value_wo` does, e.g. a counter, or the id that the source has for the value. It stands for the value: " +
						"where a version with the same one exists, that is adopted.",
					Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				},
			}},
		},
		"keep_secrets": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether secrets that the live version has and `secrets` does not name, e.g. from `wrangler secret put`, are carried over when this version is " +
				"made. They are no part of `digest`, and such a version is neither adopted nor does it adopt one. Default: `false`. A change of it alone takes effect with the next version.",
		},
	}
}
