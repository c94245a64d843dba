// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// startRuns is how many starts the median is taken of.
const startRuns = 15

// benchStart measures the time from exec to go-plugin's handshake line, which
// Terraform waits for three times per plan and four times per apply.
func benchStart(ctx context.Context, s settings) error {
	for _, bin := range []string{s.programs.Provider, s.programs.Hybridge} {
		info, err := os.Stat(bin)
		if err != nil {
			return err
		}
		fmt.Printf("size of %-32s %6.1f MB\n", info.Name(), float64(info.Size())/1e6)
	}
	var times []time.Duration
	for range startRuns {
		d, err := handshake(ctx, s.programs.Provider)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	slices.Sort(times)
	fmt.Printf("provider start to handshake, median of %d: %.1f ms (min %.1f, max %.1f)\n", startRuns,
		ms(times[len(times)/2]), ms(times[0]), ms(times[len(times)-1]))
	return nil
}

// handshake starts the provider as Terraform would and ends it once it has
// printed its handshake.
func handshake(ctx context.Context, provider string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, provider)
	// go-plugin's magic cookie for Terraform providers; without it the program
	// explains that it is a plugin and exits.
	cmd.Env = append(os.Environ(),
		"TF_PLUGIN_MAGIC_COOKIE=d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
		"PLUGIN_PROTOCOL_VERSIONS=6")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting the provider: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	took := time.Since(begin)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || line == "" {
		return 0, fmt.Errorf("reading the provider's handshake: %w", err)
	}
	return took, nil
}

// ms is d in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
