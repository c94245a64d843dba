// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// Patterns are compiled on first use: the provider process starts several times
// per Terraform run, and most runs need few of them.
var (
	planeName  = lazyPattern(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	regionName = lazyPattern(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)
	accountID  = lazyPattern(`^[0-9a-f]{32}$`)
	apiToken   = lazyPattern(`^[0-9A-Za-z_-]{40,80}$`)
	// As wrangler has it, but without a dash at the end: such a name can have no
	// host name below workers.dev.
	workerName = lazyPattern(`^[a-z0-9_]([a-z0-9_-]{0,253}[a-z0-9_])?$`)
	identifier = lazyPattern(`^[A-Za-z_$][A-Za-z0-9_$]*$`)
	headerName = lazyPattern(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,100}$`)
	flagName   = lazyPattern(`^[a-z0-9_-]+(:[a-z0-9_.:-]+)?$`)
)

func lazyPattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// IsSet reports whether a value is known and not null. A validator MUST take nothing
// else for set: what a variable or a resource hands on is unknown at first and may
// turn out to be null.
func IsSet(v attr.Value) bool { return !v.IsNull() && !v.IsUnknown() }

// check is a string validator made of a sentence and a function. It passes null
// and unknown values: they are somebody else's business.
type check struct {
	want  string // what is wanted, as a clause after "must be" or the like
	check func(value string) error
}

func (c check) Description(context.Context) string         { return c.want }
func (c check) MarkdownDescription(context.Context) string { return c.want }

func (c check) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := c.check(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid value for "+lastStep(req.Path.String()), Sentence(err.Error()))
	}
}

func lastStep(p string) string {
	if whole, _, isElement := strings.Cut(p, "[Value("); isElement { // of a set
		p = whole
	}
	if i := strings.LastIndex(p, "."); i >= 0 {
		return p[i+1:]
	}
	return p
}

// Sentence makes a sentence of an error's text, for a diagnostic. A name such as
// base_url that begins it stays as it is written.
func Sentence(s string) string {
	if s == "" {
		return s
	}
	if first, _, _ := strings.Cut(s, " "); !strings.ContainsAny(first, "_.[") {
		letter, size := utf8.DecodeRuneInString(s)
		s = string(unicode.ToUpper(letter)) + s[size:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func pattern(p func() *regexp.Regexp, want string) validator.String {
	return check{want: want, check: func(v string) error {
		if !p().MatchString(v) {
			return fmt.Errorf("%q is not valid: it must be %s", v, want)
		}
		return nil
	}}
}

// PlaneName accepts a plane's name.
func PlaneName() validator.String {
	return pattern(planeName, "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit")
}

// AccountID accepts an account id.
func AccountID() validator.String {
	return pattern(accountID, "an account id of 32 lower-case hexadecimal digits")
}

// APIToken accepts what can be an API token; its error never repeats the value.
func APIToken() validator.String {
	return check{want: wantToken, check: CheckAPIToken}
}

const wantToken = "an API token of 40 to 80 characters A-Z, a-z, 0-9, - and _"

// CheckAPIToken says what is wrong with an API token, without repeating it.
func CheckAPIToken(v string) error {
	if trimmed := strings.TrimSpace(v); trimmed != v && apiToken().MatchString(trimmed) {
		return errors.New("the value has a line break or a blank around the token: take it off, e.g. with trimspace(file(...))")
	}
	if !apiToken().MatchString(v) {
		return fmt.Errorf("the value (%d characters) cannot be an API token: it must be %s; a Global API Key is not accepted, "+
			"create a token instead", len(v), wantToken)
	}
	return nil
}

// Region accepts the name of a region, in the form that agent.yaml has for it.
func Region() validator.String {
	const want = "a region such as fr or eu-west-1: lower-case letters, digits, - and _, 64 characters at most"
	return check{want: want, check: func(v string) error {
		if !regionName().MatchString(v) {
			return fmt.Errorf("%q is no region: it must be %s", v, want)
		}
		return nil
	}}
}

// AccessClientID accepts the client id of a service token of Cloudflare Access.
func AccessClientID() validator.String {
	return check{want: "the client id of a service token of Cloudflare Access", check: cloudflare.CheckAccessClientID}
}

// AccessClientSecret accepts the client secret of one.
func AccessClientSecret() validator.String {
	return check{want: "the client secret of a service token of Cloudflare Access", check: cloudflare.CheckAccessClientSecret}
}

// ServerURL accepts the address of a server.
func ServerURL() validator.String {
	const want = "an http or https URL such as https://vault.example.com, without credentials"
	return check{want: want, check: func(v string) error {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return errors.New("the address is not valid: it must be " + want)
		}
		return nil
	}}
}

// AbsolutePath accepts an absolute path of this system.
func AbsolutePath() validator.String {
	const want = "an absolute path, e.g. from abspath() or pathexpand()"
	return check{want: want, check: func(v string) error {
		if !filepath.IsAbs(v) {
			return fmt.Errorf("%q is not valid: it must be %s", v, want)
		}
		return nil
	}}
}

// WorkerName accepts a Worker's name.
func WorkerName() validator.String {
	return pattern(workerName, "1 to 255 lower-case letters, digits, - and _, neither beginning nor ending with -")
}

// BindingName accepts the name of a binding or variable: code reaches it as
// env.NAME.
func BindingName() validator.String {
	return pattern(identifier, "a JavaScript identifier: letters, digits, _ and $, not beginning with a digit")
}

// CompatibilityFlag accepts what looks like a compatibility flag. Which flags
// exist is the plane's to know: it depends on its runtime.
func CompatibilityFlag() validator.String {
	return pattern(flagName, "a compatibility flag such as nodejs_compat: lower-case letters, digits, _ and -")
}

// CompatibilityDate accepts a compatibility date: a real day in the form
// YYYY-MM-DD, and not after tomorrow. (The API refuses a future date by UTC; a day
// is added for clocks that differ, and what is left the plane decides: it depends
// on its runtime.)
func CompatibilityDate(now func() time.Time) validator.String {
	const want = "a date YYYY-MM-DD, today at the latest"
	return check{want: want, check: func(v string) error {
		day, err := time.Parse(time.DateOnly, v)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a date: write it as YYYY-MM-DD, e.g. \"2026-06-01\"", v)
		case day.After(now().UTC().AddDate(0, 0, 1)):
			return fmt.Errorf("%q lies in the future: use today's date or an earlier one", v)
		}
		return nil
	}}
}

// JSONText accepts text that is one JSON value.
func JSONText() validator.String {
	const want = "JSON text, e.g. from jsonencode()"
	return check{want: want, check: func(v string) error {
		var ignored any
		if err := json.Unmarshal([]byte(v), &ignored); err != nil {
			return fmt.Errorf("not valid JSON (%w): it must be %s", err, want)
		}
		return nil
	}}
}

// Duration accepts a positive duration in Go's notation.
func Duration() validator.String {
	const want = "a positive duration such as 30s or 2m"
	return check{want: want, check: func(v string) error {
		if d, err := time.ParseDuration(v); err != nil || d <= 0 {
			return fmt.Errorf("%q is not valid: it must be %s", v, want)
		}
		return nil
	}}
}

// HeaderText accepts text that may stand in an HTTP header.
func HeaderText() validator.String {
	const want = "1 to 200 printable ASCII characters"
	return check{want: want, check: func(v string) error {
		ok := len(v) >= 1 && len(v) <= 200
		for _, r := range v {
			ok = ok && r >= ' ' && r <= '~'
		}
		if !ok {
			return fmt.Errorf("%q is not valid: it must be %s", v, want)
		}
		return nil
	}}
}

// URLPath accepts a path with which a request can be made, and a query.
func URLPath() validator.String {
	const want = "a path that begins with / such as /healthz"
	return check{want: want, check: func(v string) error {
		u, err := url.ParseRequestURI(v)
		if err != nil || !strings.HasPrefix(v, "/") || strings.HasPrefix(v, "//") || u.Fragment != "" || strings.ContainsAny(v, " #") {
			return fmt.Errorf("%q is not valid: it must be %s", v, want)
		}
		return nil
	}}
}

// HeaderName accepts the name of an HTTP header.
func HeaderName() validator.String {
	return pattern(headerName, "the name of an HTTP header, e.g. X-Version")
}

var uuidForm = lazyPattern(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// UUID accepts the id of a kind of object; from is where it is taken from.
func UUID(kind, from string) validator.String {
	return pattern(uuidForm, "the id of "+kind+", a UUID in lower case: use "+from)
}

// LooksLikeUUID reports whether a text would be taken for an id.
func LooksLikeUUID(s string) bool { return uuidForm().MatchString(strings.ToLower(s)) }

// Check accepts what ok accepts; want is what that is, with its article.
func Check(want string, ok func(string) bool) validator.String {
	return check{want: want, check: func(v string) error {
		if !ok(v) {
			return fmt.Errorf("%q is not valid: it must be %s", v, want)
		}
		return nil
	}}
}
