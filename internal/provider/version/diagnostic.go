// SPDX-License-Identifier: MPL-2.0

package version

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// problemsShown is how many errors of a bundle are shown: the rest mostly
// follows from the first.
const problemsShown = 10

// codeFailed adds what is wrong with the code, at the attribute it comes from.
func (m model) codeFailed(err error, diags *diag.Diagnostics) {
	var (
		failed   *bundle.BuildError
		input    *bundle.InputError
		tooLarge *bundle.TooLargeError
		changed  *bundle.ChangedError
	)
	switch {
	case errors.As(err, &failed):
		for i, p := range failed.Problems {
			if i == problemsShown {
				diags.AddAttributeError(m.codePath(""), "Cannot bundle the Worker", fmt.Sprintf("There are %d more errors.", len(failed.Problems)-i))
				return
			}
			diags.AddAttributeError(m.codePath("entrypoint"), "Cannot bundle the Worker", problemText(p, failed.Root))
		}
	case errors.As(err, &input):
		at := m.codePath(input.Option)
		// Terraform shows the line of an attribute, but not of a member of one.
		diags.AddAttributeError(at, "Cannot read the Worker's code", fmt.Sprintf("%s: %s.\n\n%s", at, input.Text, tfkit.Sentence(input.Remedy)))
	case errors.As(err, &tooLarge):
		diags.AddAttributeError(m.codePath(""), "Worker is too large", tfkit.Sentence(tooLarge.Error()))
	case errors.As(err, &changed):
		diags.AddError("Sources changed since the plan", tfkit.Sentence(changed.Error()))
	default:
		diags.AddAttributeError(m.codePath(""), "Cannot read the Worker's code", tfkit.Sentence(err.Error()))
	}
}

// adviseDestroy adds to the last of diags what helps if this is the plan of a
// destroy: that one refreshes first, with the configuration, and the provider
// cannot tell. A diagnostic of its own would stand above the error itself.
func adviseDestroy(diags diag.Diagnostics) {
	const advice = "\n\nTo destroy without the sources: terraform destroy -refresh=false."
	last := len(diags) - 1
	if d, ok := diags[last].(diag.DiagnosticWithPath); ok {
		diags[last] = diag.NewAttributeErrorDiagnostic(d.Path(), d.Summary(), d.Detail()+advice)
		return
	}
	diags[last] = diag.NewErrorDiagnostic(diags[last].Summary(), diags[last].Detail()+advice)
}

// codePath is the attribute of the code's source, or the option within it.
func (m model) codePath(option string) path.Path {
	switch {
	case !m.Bundle.IsNull():
		return within("bundle", option)
	case !m.Prebuilt.IsNull():
		return within("prebuilt", option)
	}
	return path.Root("script")
}

func within(attribute, option string) path.Path {
	at := path.Root(attribute)
	if option == "" {
		return at
	}
	return at.AtName(option)
}

// problemText shows a problem as compilers do: position, message, source line.
// root is the directory that its file is relative to, or empty if it is unknown.
func problemText(p bundle.Problem, root string) string {
	var parts []string
	text := p.Text
	p.File = fromHere(root, p.File)
	if at := p.Position(); at != "" {
		text = at + ": " + text
	}
	parts = append(parts, text)
	if excerpt := p.Excerpt(); excerpt != "" {
		parts = append(parts, excerpt)
	}
	if p.Remedy != "" {
		parts = append(parts, tfkit.Sentence(p.Remedy))
	}
	return strings.Join(parts, "\n\n")
}

// fromHere is the path of a project's file as it leads there from the directory
// that Terraform runs in: of two projects with an index.ts each, it tells which.
func fromHere(root, file string) string {
	if root == "" || file == "" {
		return file
	}
	whole := filepath.Join(root, filepath.FromSlash(file))
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, whole); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	return filepath.ToSlash(whole)
}

// codeInvalid is the API's code for a version that the runtime refuses, with
// the runtime's own text as the message.
const codeInvalid = 10021

// uploadFailed adds why a version could not be created.
func (m model) uploadFailed(err error, p *tfkit.Plane, diags *diag.Diagnostics) {
	var changed *bundle.ChangedError
	if errors.As(err, &changed) {
		m.codeFailed(err, diags)
		return
	}
	var api *cloudflare.Error
	if errors.As(err, &api) && api.Code == codeInvalid {
		diags.AddError("Version was refused", fmt.Sprintf("The runtime of %s does not accept this version of Worker %q:\n\n%s\n\n"+
			"Nothing was created. Correct the code, its bindings or its compatibility flags.", p, p.WorkerName(m.Worker.ValueString()), api.Message))
		return
	}
	diags.Append(m.attempt("create", p).FailedBecause(err, m.uploadRemedy(err)))
}

func (m model) uploadRemedy(err error) string {
	if cloudflare.IsNotFound(err) {
		return fmt.Sprintf("there is no Worker %q on this plane: create it first (hybridge_worker), or correct worker", m.Worker.ValueString())
	}
	return ""
}

// attempt names the version for diagnostics.
func (m model) attempt(verb string, p *tfkit.Plane) tfkit.Attempt {
	if id := m.ID.ValueString(); id != "" {
		return tfkit.Attempt{Verb: verb, Kind: "version", Name: id, Plane: p}
	}
	return tfkit.Attempt{Verb: verb, Kind: "version of Worker", Name: m.Worker.ValueString(), Plane: p}
}
