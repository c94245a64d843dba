// SPDX-License-Identifier: MPL-2.0

package acctest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	fwprovider "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
)

// schemas are those of the whole provider.
func schemas(t *testing.T) *tfprotov6.GetProviderSchemaResponse {
	t.Helper()
	resp, err := provider.Server("test", acctest.NoEnv)().GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil || len(resp.Diagnostics) > 0 {
		t.Fatalf("GetProviderSchema: %v %v", err, resp.Diagnostics)
	}
	return resp
}

// walk calls f for every attribute with its path, e.g. "observability.logs.enabled".
func walk(prefix string, attributes []*tfprotov6.SchemaAttribute, f func(path string, a *tfprotov6.SchemaAttribute)) {
	for _, a := range attributes {
		f(prefix+a.Name, a)
		if a.NestedType != nil {
			walk(prefix+a.Name+".", a.NestedType.Attributes, f)
		}
	}
}

// sources is the text of all tests of the provider and of all examples.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for root, suffix := range map[string]string{"..": "_test.go", "../../../examples": ".tf", "../../../modules": ".tf"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if entry != nil && entry.Name() == "node_modules" {
				return filepath.SkipDir
			}
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func TestEveryAttributeOccursInATest(t *testing.T) {
	t.Parallel()
	text, all := sources(t), schemas(t)
	check := func(kind string, s *tfprotov6.Schema) {
		if !strings.Contains(text, kind) {
			t.Errorf("%s occurs in no test and no example", kind)
		}
		walk("", s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
			if !regexp.MustCompile(`["'\s{,.(]` + a.Name + `(["'),\s}.\]]|\s*=)`).MatchString(text) {
				t.Errorf("%s: %s occurs in no test and no example", kind, path)
			}
		})
	}
	check("hybridge", all.Provider)
	for kind, s := range all.ResourceSchemas {
		check(kind, s)
	}
	for kind, s := range all.DataSourceSchemas {
		check(kind, s)
	}
	for kind, s := range all.EphemeralResourceSchemas {
		check(kind, s)
	}
	for kind, s := range all.ActionSchemas {
		check(kind, s.Schema)
	}
	for name := range all.Functions {
		if !strings.Contains(text, `"`+name+`"`) || !strings.Contains(text, "provider::hybridge::"+name+"(") {
			t.Errorf("the function %s is called by no test, or not by Terraform", name)
		}
	}
}

// TestEverythingHasAnExample: one that is applied (see examples_test.go there) and
// goes into the documentation.
func TestEverythingHasAnExample(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	want := []string{"provider/provider.tf"}
	for kind := range all.ResourceSchemas {
		want = append(want, "resources/"+kind+"/resource.tf")
	}
	for kind := range all.DataSourceSchemas {
		want = append(want, "data-sources/"+kind+"/data-source.tf")
	}
	for kind := range all.EphemeralResourceSchemas {
		want = append(want, "ephemeral-resources/"+kind+"/ephemeral-resource.tf")
	}
	for kind := range all.ActionSchemas {
		want = append(want, "actions/"+kind+"/action.tf")
	}
	for kind := range all.ListResourceSchemas {
		want = append(want, "list-resources/"+kind+"/list-resource.tf")
	}
	for name := range all.Functions {
		want = append(want, "functions/"+name+"/function.tf")
	}
	for _, file := range want {
		if _, err := os.Stat(filepath.Join("../../../examples", filepath.FromSlash(file))); err != nil {
			t.Errorf("there is no example: %v", err)
		}
	}
}

// TestDescriptionsSayWhatAReaderNeeds: what it means; what happens if it is left
// out; what a change does, unless the resource says so for all attributes alike.
// A member of a nested attribute may leave the default to the whole.
func TestDescriptionsSayWhatAReaderNeeds(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	saysDefault := regexp.MustCompile(`(?i)default|exactly one`)
	saysChange := regexp.MustCompile(`(?i)in place|replace|never changes|change`)
	sound := func(kind, path string, a *tfprotov6.SchemaAttribute) {
		if len(a.Description) < 10 || !strings.HasSuffix(a.Description, ".") {
			t.Errorf("%s: %s has no sentence that describes it: %q", kind, path, a.Description)
		}
		if a.Optional && !strings.Contains(path, ".") && !saysDefault.MatchString(a.Description) {
			t.Errorf("%s: the description of %s does not say the default: %q", kind, path, a.Description)
		}
	}
	for kind, s := range all.ResourceSchemas {
		if !strings.Contains(s.Block.Description, "Permission group") {
			t.Errorf("%s does not document the permission groups that it needs", kind)
		}
		walk("", s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
			sound(kind, path, a)
			general := strings.Contains(s.Block.Description, "a change of `digest` alone makes a new version") || changesAsAWhole(s, path)
			if (a.Required || a.Optional) && !general && !saysChange.MatchString(a.Description) {
				t.Errorf("%s: the description of %s does not say what a change does: %q", kind, path, a.Description)
			}
		})
	}
	for kind, s := range all.DataSourceSchemas {
		if !strings.Contains(s.Block.Description, "Permission group") {
			t.Errorf("data source %s does not document the permission groups that it needs", kind)
		}
		walk("", s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) { sound(kind, path, a) })
	}
	for kind, s := range all.EphemeralResourceSchemas {
		walk("", s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) { sound("ephemeral resource "+kind, path, a) })
	}
	for kind, s := range all.ActionSchemas {
		if !strings.Contains(s.Schema.Block.Description, "Permission group") {
			t.Errorf("action %s does not document the permission groups that it needs", kind)
		}
		walk("", s.Schema.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) { sound("action "+kind, path, a) })
	}
	walk("", all.Provider.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
		sound("provider", path, a)
		// A plane, sops and the like have defaults of their own, member by member.
		if a.Optional && !saysDefault.MatchString(a.Description) {
			t.Errorf("provider: the description of %s does not say the default: %q", path, a.Description)
		}
	})
	for name, f := range all.Functions {
		if f.Summary == "" || !strings.HasSuffix(f.Description, ".") {
			t.Errorf("function %s has no summary or no description", name)
		}
		parameters := f.Parameters
		if f.VariadicParameter != nil {
			parameters = append(parameters, f.VariadicParameter)
		}
		for _, p := range parameters {
			if p.Name == "" || !strings.HasSuffix(p.Description, ".") {
				t.Errorf("function %s: parameter %q has no sentence that describes it: %q", name, p.Name, p.Description)
			}
		}
	}
}

// changesAsAWhole reports whether a member is part of an attribute that says itself what
// a change of anything in it does.
func changesAsAWhole(s *tfprotov6.Schema, path string) bool {
	root, _, member := strings.Cut(path, ".")
	for _, a := range s.Block.Attributes {
		if member && a.Name == root {
			return strings.Contains(a.Description, "A change of anything in it")
		}
	}
	return false
}

// namedLikeASecret are attributes that sound like a secret, are stored, and hold
// none: "kind path", each with the reason. A key path or a name tells what the
// SOPS file beside it tells everybody.
var namedLikeASecret = map[string]string{
	"hybridge_worker_version secrets.key":                                 "a key path in the SOPS file, whose names are readable anyhow",
	"hybridge_worker_deployment rollout.gates.webhook.signing_secret.key": "a key path in the SOPS file, whose names are readable anyhow",
	"hybridge_worker_deployment rollback_secrets":                         "a choice between two words",
	"hybridge_worker_deployment burned_secrets":                           "digests of ciphertexts, as the version's secret_digests has them",
}

// soundsSecret is what a secret's name has in it.
var soundsSecret = regexp.MustCompile(`(?i)(^|_)(secret|token|key|password|passphrase|credential)s?($|_)`)

// tellsNothing is the end of names of what says that a secret has changed, and no
// more.
var tellsNothing = regexp.MustCompile(`(_digests?|_sha256|_wo_version)$`)

// TestNothingReadableCanHoldASecret: what is named like a secret must be
// write-only where it is stored, or a digest, or a boolean. The provider block and
// ephemeral resources are not stored; what they have is at least Sensitive.
func TestNothingReadableCanHoldASecret(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	exempted := map[string]bool{}
	stored := func(kind string, s *tfprotov6.Schema) {
		walk("", s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
			if !soundsSecret.MatchString(a.Name) || a.WriteOnly || a.NestedType != nil || tellsNothing.MatchString(a.Name) || a.Type.Is(tftypes.Bool) {
				return
			}
			if namedLikeASecret[kind+" "+path] != "" {
				exempted[kind+" "+path] = true
				return
			}
			t.Errorf("%s: %s would be stored in the state", kind, path)
		})
	}
	for kind, s := range all.ResourceSchemas {
		stored(kind, s)
	}
	for kind, s := range all.DataSourceSchemas {
		stored("data."+kind, s)
	}
	for name := range namedLikeASecret {
		if !exempted[name] {
			t.Errorf("%s is exempted, but need not be", name)
		}
	}
	for kind, s := range all.EphemeralResourceSchemas {
		walk("", s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
			if a.Computed && !a.Sensitive {
				t.Errorf("ephemeral resource %s: %s is not sensitive", kind, path)
			}
		})
	}
	// In the provider block, a key named by a path or kept in a file is none itself.
	reference := regexp.MustCompile(`(_file|(^|\.)api_token_sops(\.key)?)$`)
	walk("", all.Provider.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
		if soundsSecret.MatchString(a.Name) && !a.Sensitive && !reference.MatchString(path) {
			t.Errorf("provider: %s is not sensitive", path)
		}
	})
}

func TestEveryImplementationIsValidAndComplete(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := provider.New("test", acctest.NoEnv)
	var ps fwprovider.SchemaResponse
	p.Schema(ctx, fwprovider.SchemaRequest{}, &ps)
	if d := ps.Schema.ValidateImplementation(ctx); len(d) > 0 {
		t.Errorf("provider: %v", d)
	}
	for _, make := range p.Resources(ctx) {
		r := make()
		var meta resource.MetadataResponse
		r.Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "hybridge"}, &meta)
		var s resource.SchemaResponse
		r.Schema(ctx, resource.SchemaRequest{}, &s)
		if d := s.Schema.ValidateImplementation(ctx); len(d) > 0 {
			t.Errorf("%s: %v", meta.TypeName, d)
		}
		for name, has := range map[string]bool{
			"Configure": is[resource.ResourceWithConfigure](r), "ImportState": is[resource.ResourceWithImportState](r),
			"IdentitySchema": is[resource.ResourceWithIdentity](r), "ModifyPlan": is[resource.ResourceWithModifyPlan](r),
		} {
			if !has {
				t.Errorf("%s has no %s", meta.TypeName, name)
			}
		}
		if i, ok := r.(resource.ResourceWithIdentity); ok {
			var is resource.IdentitySchemaResponse
			i.IdentitySchema(ctx, resource.IdentitySchemaRequest{}, &is)
			if d := is.IdentitySchema.ValidateImplementation(ctx); len(d) > 0 {
				t.Errorf("identity of %s: %v", meta.TypeName, d)
			}
			for _, name := range []string{"account_id", "plane"} {
				if is.IdentitySchema.Attributes[name] == nil {
					t.Errorf("identity of %s lacks %s", meta.TypeName, name)
				}
			}
		}
		for _, name := range []string{"plane", "account_id"} {
			if s.Schema.Attributes[name] == nil {
				t.Errorf("%s lacks %s", meta.TypeName, name)
			}
		}
	}
	for _, make := range p.DataSources(ctx) {
		d := make()
		var meta datasource.MetadataResponse
		d.Metadata(ctx, datasource.MetadataRequest{ProviderTypeName: "hybridge"}, &meta)
		var s datasource.SchemaResponse
		d.Schema(ctx, datasource.SchemaRequest{}, &s)
		if d := s.Schema.ValidateImplementation(ctx); len(d) > 0 {
			t.Errorf("data source %s: %v", meta.TypeName, d)
		}
		if s.Schema.Attributes["plane"] == nil {
			t.Errorf("data source %s lacks plane", meta.TypeName)
		}
	}
	e, ok := p.(fwprovider.ProviderWithEphemeralResources)
	if !ok {
		t.Fatal("the provider offers no ephemeral resources")
	}
	for _, make := range e.EphemeralResources(ctx) {
		r := make()
		var meta ephemeral.MetadataResponse
		r.Metadata(ctx, ephemeral.MetadataRequest{ProviderTypeName: "hybridge"}, &meta)
		var s ephemeral.SchemaResponse
		r.Schema(ctx, ephemeral.SchemaRequest{}, &s)
		if d := s.Schema.ValidateImplementation(ctx); len(d) > 0 {
			t.Errorf("ephemeral resource %s: %v", meta.TypeName, d)
		}
		if !is[ephemeral.EphemeralResourceWithConfigure](r) {
			t.Errorf("ephemeral resource %s has no Configure", meta.TypeName)
		}
	}
	f, ok := p.(fwprovider.ProviderWithFunctions)
	if !ok {
		t.Fatal("the provider offers no functions")
	}
	for _, make := range f.Functions(ctx) {
		one := make()
		var meta function.MetadataResponse
		one.Metadata(ctx, function.MetadataRequest{}, &meta)
		var d function.DefinitionResponse
		one.Definition(ctx, function.DefinitionRequest{}, &d)
		var valid function.DefinitionValidateResponse
		d.Definition.ValidateImplementation(ctx, function.DefinitionValidateRequest{FuncName: meta.Name}, &valid)
		if len(valid.Diagnostics) > 0 {
			t.Errorf("function %s: %v", meta.Name, valid.Diagnostics)
		}
	}
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}
