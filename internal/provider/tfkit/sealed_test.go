// SPDX-License-Identifier: MPL-2.0

package tfkit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

func TestASealedErrorBecomesADiagnosticAtItsAttribute(t *testing.T) {
	t.Parallel()
	at := path.Root("file")
	d := tfkit.SealedFailed(at, &sealed.Error{Code: sealed.NoIdentity, File: "prod.enc.yaml", Key: "db.password", Detail: "recipients: age1x"})
	if with, ok := d.(diag.DiagnosticWithPath); !ok || !with.Path().Equal(at) {
		t.Errorf("the diagnostic is not at %s: %v", at, d)
	}
	if d.Summary() != "Cannot decrypt SOPS file" {
		t.Errorf("summary %q", d.Summary())
	}
	for _, want := range []string{"prod.enc.yaml", "db.password", "age1x", "sops updatekeys"} {
		if !strings.Contains(d.Detail(), want) {
			t.Errorf("the detail lacks %q: %s", want, d.Detail())
		}
	}
}

func TestAnErrorOfAnotherOriginIsNotShown(t *testing.T) {
	t.Parallel()
	if d := tfkit.SealedFailed(path.Root("file"), errors.New("parsing hunter2")); strings.Contains(d.Detail()+d.Summary(), "hunter2") {
		t.Errorf("the diagnostic repeats the text of a foreign error: %s", d.Detail())
	}
}
