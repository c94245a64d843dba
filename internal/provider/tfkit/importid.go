// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// ImportID is a parsed import id: [plane:]account_id/part[/part...].
type ImportID struct {
	Plane     string // empty: the default plane
	AccountID string
	Parts     []string // never empty strings
}

// ParseImportID parses the import id of an object that takes the named parts
// after the account id, e.g. "worker". The error shows the wanted form.
func ParseImportID(id string, parts ...string) (ImportID, error) {
	form := "[plane:]account_id/" + strings.Join(parts, "/")
	plane, rest, found := strings.Cut(id, ":")
	if !found {
		plane, rest = "", id
	} else if !planeName().MatchString(plane) {
		return ImportID{}, fmt.Errorf("import id %q: %q is not a plane's name; write it as %s", id, plane, form)
	}
	fields := strings.Split(rest, "/")
	if len(fields) != len(parts)+1 {
		return ImportID{}, fmt.Errorf("import id %q has %d parts separated by /, not %d; write it as %s",
			id, len(fields), len(parts)+1, form)
	}
	if !accountID().MatchString(fields[0]) {
		return ImportID{}, fmt.Errorf("import id %q: %q is not an account id of 32 hexadecimal digits; write it as %s",
			id, fields[0], form)
	}
	for i, f := range fields[1:] {
		if f == "" {
			return ImportID{}, fmt.Errorf("import id %q: %s is empty; write it as %s", id, parts[i], form)
		}
	}
	return ImportID{Plane: plane, AccountID: fields[0], Parts: fields[1:]}, nil
}

// String writes the id back, so that ParseImportID(id.String()) is id.
func (id ImportID) String() string {
	s := id.AccountID + "/" + strings.Join(id.Parts, "/")
	if id.Plane != DefaultPlane {
		s = id.Plane + ":" + s
	}
	return s
}

// ImportPlane returns the plane that an import names; a null name picks the
// default one. An account that the plane is not configured for is an error.
func (d *Data) ImportPlane(name types.String, account string, diags *diag.Diagnostics) *Plane {
	p := d.Plane(name, diags)
	if p == nil {
		return nil
	}
	if account != p.AccountID {
		diags.AddError("Plane belongs to another account", fmt.Sprintf(
			"The import names account %s, but %s is configured for account %s. Correct the account id, or configure a plane for "+
				"that account and name it in the import: as PLANE:%s/... or as plane in the identity.", account, p, p.AccountID, account))
		return nil
	}
	return p
}

// NullIfEmpty is null for the empty text, which no attribute uses as a value.
func NullIfEmpty(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}
