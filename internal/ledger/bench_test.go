// SPDX-License-Identifier: MPL-2.0

package ledger

import "testing"

func BenchmarkVerify(b *testing.B) {
	dir, k := b.TempDir(), newKeys(b)
	l := openLedger(b, dir, k)
	fill(b, l, 20_000)
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		mustBeWhole(b, dir, k)
	}
}
