// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/bench/load"
)

const (
	switchRounds = 20  // versions that go live during the load
	switchRate   = 400 // requests a second meanwhile
	switchLimit  = 10 * time.Minute
)

// benchSwitches brings one version after the other live, at 10 % and then at
// 100 %, while requests come in, and counts those that fail.
func benchSwitches(ctx context.Context, s settings) error {
	p, err := startPlane(ctx, s, "switch-plane")
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.createWorker(ctx, "switch"); err != nil {
		return err
	}
	live, err := p.uploadVersion(ctx, "switch", helloCode, true)
	if err != nil {
		return err
	}
	through, err := p.endpoint("switch")
	if err != nil {
		return err
	}
	// The load ends with the switches.
	underLoad, end := context.WithCancel(ctx)
	defer end()
	result := make(chan load.Report, 1)
	go func() { result <- load.Open(underLoad, through, saturation, switchRate, switchLimit) }()
	for i := range switchRounds {
		next, err := p.uploadVersion(ctx, "switch", fmt.Sprintf("%s// %d\n", helloCode, i), false)
		if err == nil {
			err = p.deploy(ctx, "switch", map[string]float64{live: 90, next: 10})
		}
		if err == nil {
			time.Sleep(200 * time.Millisecond)
			err = p.deploy(ctx, "switch", map[string]float64{next: 100})
		}
		if err != nil {
			return fmt.Errorf("switch %d: %w", i, err)
		}
		live = next
	}
	end()
	r := <-result
	fmt.Printf("%d versions live one after the other (10 %%, then 100 %%) at %d requests/s: %d of %d requests failed\n",
		switchRounds, switchRate, r.Failed, len(r.Latencies)+r.Failed)
	if r.Failed > 0 {
		return fmt.Errorf("requests were lost, the last one: %w", r.Err)
	}
	return nil
}
