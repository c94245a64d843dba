// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// rpcQuiet is how long a connection to a retired version must have been silent to
// be closed; the caller's next call opens one to the new version.
const rpcQuiet = 500 * time.Millisecond

// openRPC opens a Cap'n Proto connection to the entry point.
func (e *endpoint) openRPC(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", e.path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", workerd.RPCHost); err != nil {
		conn.Close()
		return nil, err
	}
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK || br.Buffered() > 0 { // the server speaks when spoken to
		conn.Close()
		return nil, errRefused
	}
	return conn, nil
}

// join copies in both directions, early first, until either side ends, ctx is
// done, or the version is retired and the connection silent.
func join(ctx context.Context, caller, upstream net.Conn, early []byte, retiring <-chan struct{}) {
	var last atomic.Int64
	var wg sync.WaitGroup
	ended := make(chan struct{}, 2)
	pump := func(to, from net.Conn, first []byte) {
		defer func() { ended <- struct{}{} }()
		buf := make([]byte, 32<<10)
		if len(first) > 0 {
			if _, err := to.Write(first); err != nil {
				return
			}
		}
		for {
			n, err := from.Read(buf)
			if n > 0 {
				last.Store(time.Now().UnixNano())
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	wg.Go(func() { pump(upstream, caller, early) })
	wg.Go(func() { pump(caller, upstream, nil) })

	var quiet <-chan time.Time
	for open := true; open; {
		select {
		case <-ended:
			open = false
		case <-ctx.Done():
			open = false
		case <-retiring:
			retiring = nil
			ticker := time.NewTicker(rpcQuiet / 5)
			defer ticker.Stop()
			quiet = ticker.C
		case <-quiet:
			open = time.Since(time.Unix(0, last.Load())) < rpcQuiet
		}
	}
	caller.Close()
	upstream.Close()
	wg.Wait()
}
