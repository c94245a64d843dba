// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// Attempt says what was tried with which object, for the diagnostic in case it
// fails.
type Attempt struct {
	Verb  string // "create", "read", "update", "delete", "import", "list"
	Kind  string // "Worker", "version", "deployment"
	Name  string // the object as the user knows it
	Plane *Plane
}

// Failed turns an error of internal/cloudflare into a diagnostic. The summary
// holds no values, so that it can be searched for; the detail says what was
// attempted on which object and plane, what the answer was, and what to do.
func (a Attempt) Failed(err error) diag.Diagnostic {
	return a.FailedBecause(err, "")
}

// FailedBecause is Failed with a remedy that the caller knows better than the
// status alone can tell. An empty one changes nothing.
func (a Attempt) FailedBecause(err error, remedy string) diag.Diagnostic {
	answer, general := explain(err, a.Plane)
	if remedy == "" {
		remedy = general
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Tried to %s %s on %s.\n\n%s", a.Verb, a.object(), a.Plane, Sentence(answer))
	if remedy != "" {
		b.WriteString("\n\n" + Sentence(remedy))
	}
	return diag.NewErrorDiagnostic(fmt.Sprintf("Cannot %s %s", a.Verb, a.Kind), b.String())
}

// ReadFailed adds what kept a Read from its answer and reports whether the object
// stays as it was known. It does where a named plane cannot be asked at all: one of
// many planes that is down must not keep the others from being planned. That is a
// warning; whatever has to change there fails at apply. The default plane is what
// the configuration is about, so there it is an error.
func (a Attempt) ReadFailed(err error, diags *diag.Diagnostics) (keep bool) {
	if a.Plane.Name == DefaultPlane || !cloudflare.IsUnreachable(err) {
		diags.Append(a.Failed(err))
		return false
	}
	diags.AddWarning("Plane cannot be asked", a.Failed(err).Detail()+fmt.Sprintf("\n\nThe %s is planned as it was last known; what happened to it since is not seen. "+
		"Other planes are planned and applied as usual. What has to change on this one will fail at apply.", a.object()))
	return true
}

func (a Attempt) object() string {
	if a.Name == "" {
		return a.Kind
	}
	name := a.Name
	if a.Plane != nil && cloudflare.LooksLikeID(name) {
		name = a.Plane.WorkerName(name)
	}
	return fmt.Sprintf("%s %q", a.Kind, name)
}

// explain says what the plane answered, and what to do about it in general.
func explain(err error, p *Plane) (answer, remedy string) {
	var (
		api       *cloudflare.Error
		transport *cloudflare.TransportError
		notAPI    *cloudflare.AnswerError
		token     *cloudflare.TokenError
		access    *cloudflare.AccessError
		sameName  *cloudflare.SameNameError
	)
	var plainHTTP tls.RecordHeaderError
	switch {
	case errors.As(err, &plainHTTP):
		return fmt.Sprintf("%s cannot be reached: %v", p, plainHTTP), "the server there speaks plain HTTP: write base_url with http://, which is admitted on loopback, or give the server TLS"
	case errors.As(err, &sameName):
		return sameName.Error(), "look at it, and import it, or delete it and run terraform apply again"
	case errors.As(err, &api):
		return explainAPI(api), remedyFor(api, p)
	case errors.As(err, &access):
		return access.What(), access.Remedy()
	case errors.As(err, &transport) && !transport.Sent && strings.HasPrefix(transport.BaseURL, "unix:"):
		return fmt.Sprintf("%s cannot be reached: %v", p, transport.Err), "" // which says what to do
	case errors.As(err, &token):
		return token.Error(), "nothing was sent to this plane, and no other plane is affected"
	case errors.Is(err, context.Canceled):
		return "the run was interrupted before an answer came", "run terraform plan to see what is there"
	case errors.As(err, &transport) && !transport.Sent && p.Client.IsLoopback():
		remedy = "start the plane on this machine, with `hybridge dev` or the service of `hybridge agent`, or correct base_url"
		if p.Name == DefaultPlane {
			remedy += ". Without base_url, CLOUDFLARE_BASE_URL counts: the exports of a plane that has stopped still name its port"
		}
		return fmt.Sprintf("%s cannot be reached: %v", p, transport.Err), remedy
	case errors.As(err, &transport) && !transport.Sent:
		return fmt.Sprintf("%s cannot be reached: %v", p, transport.Err),
			"check base_url, that the plane runs there, and that this machine may connect to it"
	case errors.As(err, &transport):
		return fmt.Sprintf("%s %s got no complete answer: %v", transport.Method, transport.Path, transport.Err),
			"nothing is known about the outcome: run terraform plan to see what is there"
	case errors.As(err, &notAPI):
		return err.Error(), "base_url must lead to a Cloudflare API, e.g. https://api.cloudflare.com/client/v4, " +
			"http://127.0.0.1:8780/client/v4 or unix:///run/hybridge/api.sock; a login page or a proxy in between answers like this too"
	default:
		return err.Error(), ""
	}
}

func explainAPI(e *cloudflare.Error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s was answered with status %d", e.Method, e.Path, e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, ", code %d", e.Code)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, ", ray id %s", e.RequestID)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// codeNoRoute says that the account or endpoint, not the object, does not exist.
const codeNoRoute = 7003

// remedyFor looks at status and code only, never at the message's text.
func remedyFor(e *cloudflare.Error, p *Plane) string {
	switch {
	case e.Status == http.StatusForbidden && e.Permission != "":
		return fmt.Sprintf("the API token lacks the permission group %s on account %s, or it belongs to another account: "+
			"give it that permission, or use another token for %s", e.Permission, p.AccountID, p)
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden,
		e.Status == http.StatusBadRequest && e.Code >= 6003 && e.Code <= 6111:
		return fmt.Sprintf("%s does not accept the API token: check api_token or api_token_sops (or %s for the default plane)", p, "CLOUDFLARE_API_TOKEN")
	case e.Status == http.StatusNotFound && e.Code == codeNoRoute:
		return fmt.Sprintf("check account_id (%s) and base_url of %s", p.AccountID, p)
	case e.Status == http.StatusTooManyRequests:
		return "lower requests_per_second in the provider block, or raise max_retries"
	case e.Status >= http.StatusInternalServerError:
		return "this is a failure of the plane: run Terraform again, and look at the plane's log if it stays"
	default:
		return ""
	}
}
