// SPDX-License-Identifier: MPL-2.0

package version

import (
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

const description = "An immutable version of a Worker: its code, bindings and settings. What is live is a `hybridge_worker_deployment`.\n\n" +
	"The version is its content. `digest` is a hash of everything that makes it, and a change of `digest` alone makes a new version: the same " +
	"sources plan nothing, on every machine and in every checkout, and with every version of the provider. Bytes are never in the plan or in state; " +
	"`modules_sha256` shows which of them changed.\n\n" +
	"Where the Worker has a version of the same digest already, e.g. after an interrupted apply or a `git revert`, that one is adopted and nothing is " +
	"uploaded. Destroying the resource leaves the version on the plane for rollback, unless `delete_on_destroy` is set. Use " +
	"`lifecycle { create_before_destroy = true }`, so that the next version exists before this one is let go.\n\n" +
	"An apply needs the sources that the plan has seen. If they changed in between, nothing is uploaded and the apply fails, possibly with Terraform's " +
	"own \"Provider produced inconsistent final plan\" for `digest` and the changed `modules_sha256`: plan again. " +
	"`terraform destroy` plans first and so needs them too; `terraform destroy -refresh=false` does without.\n\n" +
	"Permission groups: `Workers Scripts Write` (`Workers Scripts Read` suffices for planning)."

func resourceSchema() schema.Schema {
	attributes := map[string]schema.Attribute{
		"worker": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Id or name of the Worker, e.g. `hybridge_worker.api.id`. Another Worker replaces the resource; another way to write " +
				"the same Worker does not.",
			Validators: []validator.String{tfkit.WorkerName()},
		},
		"plane": tfkit.PlaneAttribute(),
		"message": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "What the version is for; kept with it on the plane. Not part of `digest`: a change of it alone plans nothing, so that a " +
				"commit hash in it does not make a version per commit. Default: empty.",
			Validators: []validator.String{stringvalidator.UTF8LengthAtMost(900)},
		},
		"tag": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "A tag for the version, e.g. a release. Like `message` not part of `digest`. Default: empty.",
			Validators:          []validator.String{stringvalidator.UTF8LengthAtMost(100)},
		},
		"adopt": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(true),
			MarkdownDescription: "Whether a deployable version of this Worker that has the same `digest` is used instead of uploading one. Default: `true`. " +
				"A change of it alone takes effect with the next version.",
		},
		"delete_on_destroy": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether destroying the resource deletes the version from the plane, where nobody can roll back to it any more. Setting it takes " +
				"effect with the next version: a version is marked for deletion when it is made, or never. Only a configuration that sets this too adopts a " +
				"marked one. What is not marked, was adopted or imported, or is live, is not deleted. Default: `false`.",
		},
		"account_id": tfkit.AccountAttribute(),
	}
	for _, group := range []map[string]schema.Attribute{codeAttributes(), contentAttributes(), secretAttributes(), computedAttributes()} {
		for name, a := range group {
			attributes[name] = a
		}
	}
	return schema.Schema{MarkdownDescription: description, Attributes: attributes}
}

func codeAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"bundle": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "TypeScript or JavaScript that the provider bundles with esbuild, with wrangler's settings and module rules: `.wasm`, " +
				"`.txt`, `.html`, `.sql` and `.bin` become modules of their own; packages are resolved in `node_modules` with the conditions `workerd`, " +
				"`worker` and `browser`. Exactly one of `bundle`, `prebuilt` and `script` is needed.",
			Attributes: map[string]schema.Attribute{
				"entrypoint": schema.StringAttribute{
					Required:            true,
					MarkdownDescription: "Path of the module that exports the handlers, e.g. `\"${path.module}/src/index.ts\"`.",
					Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
				},
				"minify":    optionalBool("Whether the code is minified. Default: `false`."),
				"sourcemap": optionalBool("Whether a source map is uploaded beside the main module. Default: `false`."),
				"define": optionalMap("Identifiers to replace by JavaScript expressions, e.g. `{ VERSION = jsonencode(\"1.2\") }`. " +
					"`process.env.NODE_ENV` is `\"production\"` unless defined here. Default: none."),
				"external": optionalSet("Imports to leave alone because the runtime has them; `*` is a wildcard. `node:` and `cloudflare:` always are. Default: none."),
				"alias": optionalMap("Imports to replace by others, e.g. `{ fs = abspath(\"${path.module}/src/fs.ts\") }`. A relative path begins at the nearest " +
					"`package.json` above the entrypoint, else at the entrypoint's directory. Default: none."),
				"tsconfig": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "Path of the `tsconfig.json` for all files. Default: the one nearest to each file.",
					Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
				},
			},
		},
		"prebuilt": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "A directory of finished modules, e.g. from `wrangler deploy --dry-run --outdir`: every file of a known type (`.js`, `.mjs`, " +
				"`.cjs`, `.wasm`, `.txt`, `.html`, `.sql`, `.bin`, `.json`, `.py`) is a module, named by its path. Exactly one of `bundle`, `prebuilt` and `script` is needed.",
			Attributes: map[string]schema.Attribute{
				"directory": schema.StringAttribute{
					Required:            true,
					MarkdownDescription: "Path of the directory. Symbolic links that lead out of it are refused.",
					Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
				},
				"main": schema.StringAttribute{
					Required:            true,
					MarkdownDescription: "Name of the module that exports the handlers, e.g. `\"index.js\"`.",
					Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
				},
				"include": optionalSet("Globs of the files that are modules, e.g. `[\"**/*.js\"]`. Default: every file of a known type but `.map`."),
				"exclude": optionalSet("Globs of files that are not. Default: none."),
			},
		},
		"script": schema.StringAttribute{
			Optional:  true,
			WriteOnly: true,
			MarkdownDescription: "The code itself: one ES module. Like all code it enters neither plan nor state; a change shows as one of `modules_sha256`. " +
				"Exactly one of `bundle`, `prebuilt` and `script` is needed.",
		},
	}
}

func contentAttributes() map[string]schema.Attribute {
	names := mapvalidator.KeysAre(tfkit.BindingName())
	return map[string]schema.Attribute{
		"compatibility_date": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "The day whose runtime behaviour the Worker is written for, as `YYYY-MM-DD`.",
			Validators:          []validator.String{tfkit.CompatibilityDate(time.Now)},
		},
		"compatibility_flags": schema.SetAttribute{
			ElementType:         types.StringType,
			Optional:            true,
			MarkdownDescription: "Runtime features to switch on or off, e.g. `[\"nodejs_compat\"]`. Default: none.",
			Validators:          []validator.Set{tfkit.NoNulls{}, setvalidator.ValueStringsAre(tfkit.CompatibilityFlag())},
		},
		"vars": schema.MapAttribute{
			ElementType:         types.StringType,
			Optional:            true,
			MarkdownDescription: "Text variables by name. They are shown in plans, kept in state, and readable by whoever may read the Worker: no secrets, which belong into `secrets`. Default: none.",
			Validators:          []validator.Map{names, tfkit.NoNulls{}},
		},
		"json_vars": schema.MapAttribute{
			ElementType:         types.StringType,
			Optional:            true,
			MarkdownDescription: "Variables that the code sees as values, by name, each as JSON, e.g. `jsonencode({ retries = 3 })`. How the JSON is written does not matter. Default: none.",
			Validators:          []validator.Map{names, tfkit.NoNulls{}, mapvalidator.ValueStringsAre(tfkit.JSONText())},
		},
		"services": schema.MapNestedAttribute{
			Optional:            true,
			MarkdownDescription: "Other Workers that the code calls, by the name of the binding. Default: none.",
			Validators:          []validator.Map{names, tfkit.NoNulls{}},
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"worker": schema.StringAttribute{
					Required:            true,
					MarkdownDescription: "Name of the Worker, e.g. `hybridge_worker.auth.name`.",
					Validators:          []validator.String{tfkit.WorkerName()},
				},
				"entrypoint": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "Named export of that Worker to call. Default: its default export.",
					Validators:          []validator.String{tfkit.BindingName()},
				},
			}},
		},
		"vpc_services": schema.MapAttribute{
			ElementType: types.StringType,
			Optional:    true,
			MarkdownDescription: "Private services behind tunnels that the code fetches from (Workers VPC), by the name of the binding: each the id of a VPC service, e.g. " +
				"`hybridge_vpc_service.api.id`. Default: none.",
			Validators: []validator.Map{names, tfkit.NoNulls{}, mapvalidator.ValueStringsAre(tfkit.UUID("a VPC service", "hybridge_vpc_service.<name>.id"))},
		},
		"version_metadata": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Name of a binding that tells the code its version's id and tag. Default: none.",
			Validators:          []validator.String{tfkit.BindingName()},
		},
		"raw_bindings": schema.MapAttribute{
			ElementType: types.StringType,
			Optional:    true,
			MarkdownDescription: "Bindings of kinds that have no attribute of their own, by name, each as the JSON object of the Cloudflare API without `name`, " +
				"e.g. `jsonencode({ type = \"kv_namespace\", namespace_id = \"...\" })`. Kinds that carry a secret are refused: it would be kept in state. Default: none.",
			Validators: []validator.Map{names, tfkit.NoNulls{}}, // rawBinding judges the values
		},
		"placement": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: "Where the plane runs the Worker. Exactly one member is needed. Default: near the client.",
			Validators:          []validator.Object{tfkit.Members{Of: []string{"mode", "region", "host", "hostname"}, One: true}},
			Attributes: map[string]schema.Attribute{
				"mode": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "`smart`: near what the Worker talks to.",
					Validators:          []validator.String{stringvalidator.OneOf("smart")},
				},
				"region":   placementText("A cloud region to run near, e.g. `aws:eu-west-3`."),
				"host":     placementText("A TCP service to run near, as `host:port`."),
				"hostname": placementText("An HTTP service to run near."),
			},
		},
		"limits": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: "Limits per invocation. Default: the plane's.",
			Validators:          []validator.Object{tfkit.Members{Of: []string{"cpu_ms", "subrequests"}}},
			Attributes: map[string]schema.Attribute{
				"cpu_ms": schema.Int64Attribute{
					Optional:            true,
					MarkdownDescription: "CPU time in milliseconds.",
					Validators:          []validator.Int64{int64validator.AtLeast(1)},
				},
				"subrequests": schema.Int64Attribute{
					Optional:            true,
					MarkdownDescription: "Number of subrequests.",
					Validators:          []validator.Int64{int64validator.AtLeast(1)},
				},
			},
		},
	}
}

func computedAttributes() map[string]schema.Attribute {
	text := func(meaning string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: meaning}
	}
	number := func(meaning string) schema.Int64Attribute {
		return schema.Int64Attribute{Computed: true, MarkdownDescription: meaning}
	}
	return map[string]schema.Attribute{
		"id":        text("Id of the version, a UUID."),
		"worker_id": text("Id of the Worker, however `worker` names it."),
		"number":    number("Number of the version among those of its Worker, from 1."),
		"digest": text("SHA-256 of everything that makes the version: code, options of the bundler, bindings, secrets' digests, dates, flags, placement and limits. " +
			"Known in the plan if all of these are. A change of it replaces the resource."),
		"code_sha256": text("SHA-256 of the sources and the bundler's options. Known in the plan whenever the sources can be read."),
		"modules_sha256": schema.MapAttribute{
			ElementType: types.StringType,
			Computed:    true,
			MarkdownDescription: "SHA-256 of what the code is made from, by name: for `bundle` the files of the project and one entry `npm:<name>@<version>` per " +
				"npm package, for `prebuilt` and `script` the modules.",
		},
		"secret_digests": schema.MapAttribute{
			ElementType: types.StringType,
			Computed:    true,
			MarkdownDescription: "What identifies each of `secrets` without its value, by name, as a SHA-256: of the ciphertext for `sops_file`, of " +
				"the name and `value_wo_version` for `value_wo`. Known in the plan if these are. Null without secrets.",
		},
		"size":        number("Size of the uploaded modules in bytes, uncompressed."),
		"created_on":  text("When the version was created, RFC 3339 in UTC."),
		"preview_url": text("Where this version answers, live or not; null if the Worker had no previews when the version was created."),
	}
}

func optionalBool(meaning string) schema.BoolAttribute {
	return schema.BoolAttribute{Optional: true, MarkdownDescription: meaning}
}

func optionalMap(meaning string) schema.MapAttribute {
	return schema.MapAttribute{
		ElementType: types.StringType, Optional: true, MarkdownDescription: meaning,
		Validators: []validator.Map{tfkit.NoNulls{}},
	}
}

func optionalSet(meaning string) schema.SetAttribute {
	return schema.SetAttribute{
		ElementType: types.StringType, Optional: true, MarkdownDescription: meaning,
		Validators: []validator.Set{tfkit.NoNulls{}},
	}
}

func placementText(meaning string) schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true, MarkdownDescription: meaning,
		Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
	}
}
