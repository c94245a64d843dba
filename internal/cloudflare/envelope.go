// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7/option"
)

// envelope is what the Cloudflare API wraps every answer in.
type envelope struct {
	Success *bool `json:"success"`
	Errors  []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
	Result     json.RawMessage `json:"result"`
	ResultInfo *struct {
		TotalCount *int `json:"total_count"`
	} `json:"result_info"`
}

// answer receives one answer from an SDK service.
type answer struct {
	body []byte
	http *http.Response
}

// into makes the SDK hand over the answer as it came, so that it is decoded
// into our types, and decoded strictly.
func (a *answer) into(more ...option.RequestOption) []option.RequestOption {
	return append(more, option.WithResponseBodyInto(&a.body), option.WithResponseInto(&a.http))
}

// page is into for one page of a list.
func (a *answer) page(number, size int) []option.RequestOption {
	return a.into(
		option.WithQuery("page", strconv.Itoa(number)),
		option.WithQuery("per_page", strconv.Itoa(size)),
	)
}

// jsonBody sends v as the body, in place of the SDK's parameters.
func jsonBody(v any) (option.RequestOption, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	return option.WithRequestBody("application/json", b), nil
}

// decode unwraps the result into out, which may be nil.
func (c *Client) decode(a *answer, out any) (*envelope, error) {
	var env envelope
	if err := json.Unmarshal(a.body, &env); err != nil || env.Success == nil {
		return nil, c.wire.answerError(a.http.Request, a.http, "")
	}
	if !*env.Success {
		// The SDK believes the status, wrangler this flag: a plane must not
		// contradict itself, and where it does nothing may count as done.
		return nil, c.wire.apiError(a.http.Request, a.http, a.body)
	}
	if out == nil {
		return &env, nil
	}
	if len(env.Result) == 0 {
		return nil, c.oddResult(a, errors.New("there is none"))
	}
	if err := json.Unmarshal(env.Result, out); err != nil {
		return nil, c.oddResult(a, err)
	}
	return &env, nil
}

// decodeObject is decode for a result that MUST be an object: null would count as
// one that is all zero.
func (c *Client) decodeObject(a *answer, out any) error {
	env, err := c.decode(a, out)
	if err == nil && !bytes.HasPrefix(bytes.TrimSpace(env.Result), []byte("{")) {
		err = c.oddResult(a, errors.New("it is no object"))
	}
	return err
}

// oddResult says that success came with a result that nothing can be made of. What
// the call was to do may be done.
func (c *Client) oddResult(a *answer, cause error) error {
	e := c.wire.answerError(a.http.Request, a.http, "")
	e.Result = c.wire.redactError(cause)
	return e
}

// segment escapes an identifier for the SDK, which formats it into a path as is.
func segment(id string) (string, error) {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "\x00\r\n") {
		return "", fmt.Errorf("%q is not an identifier", id)
	}
	return url.PathEscape(id), nil
}
