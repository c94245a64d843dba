// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// v4 calls an endpoint below /accounts/{account}, with body as JSON unless it is nil,
// and decodes the result into out unless that is nil. Parts of the path are escaped.
func (c *Client) v4(ctx context.Context, method string, body any, query url.Values, out any, path ...string) error {
	_, err := c.callV4(ctx, method, body, query, out, append([]string{"accounts", c.accountID}, path...)...)
	return err
}

// callV4 is v4 for a whole path below the base URL.
func (c *Client) callV4(ctx context.Context, method string, body any, query url.Values, out any, path ...string) (*envelope, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	u := *c.base
	for i, s := range path {
		escaped, err := segment(s)
		if err != nil {
			return nil, err
		}
		path[i] = escaped
	}
	u = *u.JoinPath(path...)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.wire.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Request = req
	return c.decode(&answer{body: content, http: res}, out)
}

// listV4 collects all pages of a list.
func listV4[T any](ctx context.Context, c *Client, query url.Values, id func(T) string, path ...string) ([]T, error) {
	var all []T
	seen := map[string]bool{}
	q := url.Values{}
	for k, v := range query {
		q[k] = v
	}
	if q.Get("per_page") == "" { // some lists take less
		q.Set("per_page", strconv.Itoa(listPageSize))
	}
	for number := 1; ; number++ {
		q.Set("page", strconv.Itoa(number))
		var items []T
		env, err := c.callV4(ctx, http.MethodGet, nil, q, &items, append([]string{}, path...)...)
		if err != nil {
			return nil, err
		}
		before := len(all)
		for _, item := range items {
			if !seen[id(item)] {
				seen[id(item)] = true
				all = append(all, item)
			}
		}
		if len(all) == before || env.ResultInfo != nil && env.ResultInfo.TotalCount != nil && len(all) >= *env.ResultInfo.TotalCount {
			return all, nil
		}
	}
}
