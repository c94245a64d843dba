// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// SealedFailed turns an error of internal/sealed into a diagnostic at an
// attribute: the one that names the file, or the key path in it. The summary
// depends on the error's code alone, so that it can be searched for.
func SealedFailed(at path.Path, err error) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, sealedSummary(sealed.CodeOf(err)), SealedDetail(err))
}

// SealedDetail is the detail of a diagnostic about an error of internal/sealed.
// An error of another origin could hold a value, so its text is left out.
func SealedDetail(err error) string {
	var e *sealed.Error
	if !errors.As(err, &e) {
		return "The file could not be worked with, for a reason whose text may hold a secret and is therefore not shown. " +
			"This is a bug in the provider: please report what you did."
	}
	return Sentence(e.Error())
}

// AboutKey reports whether an error of internal/sealed is about the key path
// rather than the file.
func AboutKey(err error) bool {
	switch sealed.CodeOf(err) {
	case sealed.BadPath, sealed.KeyUnknown, sealed.NotScalar, sealed.EmptyValue:
		return true
	default:
		return false
	}
}

func sealedSummary(code sealed.Code) string {
	switch code {
	case sealed.Unreadable, sealed.TooLarge, sealed.Malformed, sealed.NotSOPS, sealed.BadMetadata:
		return "Cannot read SOPS file"
	case sealed.BadPath, sealed.KeyUnknown, sealed.NotScalar, sealed.EmptyValue:
		return "Invalid key path in SOPS file"
	case sealed.NotEncrypted:
		return "Value in SOPS file is not encrypted"
	case sealed.BadCiphertext, sealed.BadType, sealed.BadMAC:
		return "SOPS file was changed without SOPS"
	case sealed.KeyFileMissing, sealed.KeyFileExposed, sealed.KeyFileBad:
		return "Key file cannot be used"
	default:
		return "Cannot decrypt SOPS file"
	}
}

// KeyPath accepts a key path in a SOPS file.
func KeyPath() validator.String {
	const want = "a key path such as db.password, hosts[0].token or [\"name.with.dots\"]"
	return check{want: want, check: func(v string) error {
		if v == "" {
			return errors.New("the key path is empty: it must be " + want)
		}
		_, err := sealed.ParsePath(v)
		return err
	}}
}
