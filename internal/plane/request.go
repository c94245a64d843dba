// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// request is an authenticated request that has found its route.
type request struct {
	*http.Request
	params map[string]string
	// account and token are those of the caller; zero on public routes.
	account registry.Account
	token   registry.Token
}

// param is a decoded path parameter.
func (r *request) param(name string) string { return r.params[name] }

// flag says whether a query parameter is there and true.
func (r *request) flag(name string) bool {
	v, err := strconv.ParseBool(r.URL.Query().Get(name))
	return err == nil && v
}

// decode reads the body as JSON into v, whatever its Content-Type says: clients
// send JSON as text/plain and as application/merge-patch+json too. Unknown members
// are ignored, as Cloudflare does. An empty body leaves v as it is.
func (r *request) decode(v any) error {
	raw, err := r.readBody()
	if err != nil || len(raw) == 0 {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return badJSON(err)
	}
	return nil
}

func (r *request) readBody() ([]byte, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	return raw, nil
}

// bodyError tells a body above the limit from one that broke off.
func bodyError(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return fail(http.StatusRequestEntityTooLarge, codeTooLarge, "The request body is larger than the %d bytes that this endpoint takes.", tooLarge.Limit)
	}
	return fail(http.StatusBadRequest, codeBadBody, "The request body could not be read to its end.")
}

// badJSON says where the JSON is wrong but quotes nothing of it: it may be a secret.
func badJSON(err error) *Error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fail(http.StatusBadRequest, codeBadBody, "The request body is not valid JSON (at byte %d).", syntax.Offset)
	}
	if typ := (*json.UnmarshalTypeError)(nil); errors.As(err, &typ) {
		return fail(http.StatusBadRequest, codeBadBody, "The request body has a value of the wrong type at %q: it must be %s.", typ.Field, typ.Type)
	}
	return fail(http.StatusBadRequest, codeBadBody, "The request body is not valid JSON.")
}

// actor is who does something, as versions and deployments record it.
type actor struct {
	source      string // api, wrangler, terraform
	authorID    string
	authorEmail string
}

// actor tells the client's kind from its User-Agent. "dash" is never given:
// wrangler would then ask for endpoints that exist at Cloudflare only.
func (r *request) actor() actor {
	ua := strings.ToLower(r.UserAgent())
	a := actor{source: "api", authorID: r.token.ID, authorEmail: r.token.Name}
	if !strings.Contains(a.authorEmail, "@") {
		// The API's field is an e-mail address; the name of the token is what helps.
		a.authorEmail += "@" + tokenDomain
	}
	switch {
	case strings.Contains(ua, "wrangler"):
		a.source = "wrangler"
	case strings.Contains(ua, "terraform"):
		a.source = "terraform"
	}
	return a
}

const tokenDomain = "tokens.localhost"

// pageInfo is result_info of a list by pages.
type pageInfo struct {
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	Count      int `json:"count"`
	TotalCount int `json:"total_count"`
	TotalPages int `json:"total_pages"`
}

const (
	defaultPerPage = 20
	// maxPerPage lets a client have a large account in few requests.
	maxPerPage = 1000
)

// pageParams reads page and per_page. The SDKs' pagers go on until a page is
// empty, so a page past the end MUST be answered, with nothing in it.
func (r *request) pageParams() (number, perPage int, err error) {
	if number, err = r.positive("page", 1); err != nil {
		return 0, 0, err
	}
	if perPage, err = r.positive("per_page", defaultPerPage); err != nil {
		return 0, 0, err
	}
	return number, min(perPage, maxPerPage), nil
}

func (r *request) positive(name string, standard int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	// The upper bound keeps page*per_page from overflowing.
	if err != nil || n < 0 || n > 1<<30 {
		return 0, fail(http.StatusBadRequest, codeBadParameter, "The query parameter %s must be a positive number.", name)
	}
	return max(n, 1), nil
}

func newPageInfo(number, perPage, count, total int) pageInfo {
	return pageInfo{Page: number, PerPage: perPage, Count: count, TotalCount: total, TotalPages: (total + perPage - 1) / perPage}
}

// paginate cuts the requested page out of the whole list.
func paginate[T any](r *request, all []T) ([]T, pageInfo, error) {
	number, perPage, err := r.pageParams()
	if err != nil {
		return nil, pageInfo{}, err
	}
	from := min((number-1)*perPage, len(all))
	cut := all[from:min(from+perPage, len(all))]
	if cut == nil {
		cut = []T{}
	}
	return cut, newPageInfo(number, perPage, len(cut), len(all)), nil
}
