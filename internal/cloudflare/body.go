// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// streamed is a request body that is opened anew for each attempt. It passes
// through the SDK as a body, but is only read after the wire has opened it.
type streamed struct {
	open func() (io.ReadCloser, int64, error)
}

func (streamed) Read([]byte) (int, error) {
	return 0, errors.New("streamed body read before it was opened")
}
func (streamed) Close() error { return nil }

// watchedBody remembers why reading failed: net/http reports that as a broken
// connection, which it is not.
type watchedBody struct {
	io.ReadCloser
	mu  sync.Mutex
	err error
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

func (b *watchedBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// openBody opens the body of one attempt; nil if the request has none. size is
// -1 if unknown.
func openBody(req *http.Request) (body *watchedBody, size int64, err error) {
	var rc io.ReadCloser
	if s, ok := req.Body.(streamed); ok {
		rc, size, err = s.open()
		if err != nil {
			return nil, 0, fmt.Errorf("opening what to upload: %w", err)
		}
		return &watchedBody{ReadCloser: rc}, size, nil
	}
	switch {
	case req.GetBody != nil:
		rc, err = req.GetBody()
		if err != nil {
			return nil, 0, err
		}
	case req.Body == nil || req.Body == http.NoBody:
		return nil, 0, nil
	default:
		return nil, 0, errors.New("request body cannot be sent twice")
	}
	return &watchedBody{ReadCloser: rc}, req.ContentLength, nil
}
