// SPDX-License-Identifier: MPL-2.0

package tfproto

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// Diagnostics is what the provider has to say about a call.
type Diagnostics []*tfprotov6.Diagnostic

// HasError reports whether the call failed.
func (d Diagnostics) HasError() bool {
	for _, one := range d {
		if one.Severity == tfprotov6.DiagnosticSeverityError {
			return true
		}
	}
	return false
}

// String writes all of them, each as "severity at path: summary: detail".
func (d Diagnostics) String() string {
	var lines []string
	for _, one := range d {
		at := ""
		if one.Attribute != nil {
			at = " at " + attributePath(one.Attribute)
		}
		lines = append(lines, one.Severity.String()+at+": "+one.Summary+": "+one.Detail)
	}
	return strings.Join(lines, "\n")
}
