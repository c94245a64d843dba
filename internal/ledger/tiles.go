// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// Export writes the log of a month up to its newest checkpoint as static files for
// any client of C2SP tlog-tiles: checkpoint, tile/<level>/<number>, tile/entries/<number>.
// The directory to MUST not exist.
func Export(dir, month, to string, verifier note.Verifier) (Checkpoint, error) {
	c, err := LastCheckpoint(dir, month, verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return Checkpoint{}, fmt.Errorf("exporting: %w", err)
	}
	hashes, err := os.Open(filepath.Join(dir, month, hashesFile))
	if err != nil {
		return Checkpoint{}, err
	}
	defer hashes.Close()
	for _, t := range tlog.NewTiles(tileHeight, 0, c.Size) {
		data, err := tlog.ReadTileData(t, hashReader{hashes})
		if err != nil {
			return Checkpoint{}, fmt.Errorf("exporting a tile: %w", err)
		}
		if err := writeTile(to, t, data); err != nil {
			return Checkpoint{}, err
		}
	}
	if err := exportEntries(dir, month, to, c); err != nil {
		return Checkpoint{}, err
	}
	return c, writeExported(filepath.Join(to, "checkpoint"), []byte(c.Text))
}

// exportEntries writes bundles of entries and checks that they are what the
// checkpoint has signed.
func exportEntries(dir, month, to string, c Checkpoint) error {
	r := NewReader(dir, Position{Month: month})
	defer r.Close()
	var tree frontier
	var bundle []byte
	for tree.size < c.Size {
		record, err := r.Next()
		if err != nil {
			return fmt.Errorf("exporting entry %d: %w", tree.size, err)
		}
		if len(record.Leaf) > MaxLeafBytes {
			return fmt.Errorf("exporting entry %d: it has %d bytes", tree.size, len(record.Leaf))
		}
		tree.add(tlog.RecordHash(record.Leaf), nil)
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(record.Leaf)))
		bundle = append(bundle, record.Leaf...)
		if width := int(tree.size % tileWidth); width == 0 || tree.size == c.Size {
			if width == 0 {
				width = tileWidth
			}
			t := tlog.Tile{H: tileHeight, L: -1, N: (tree.size - 1) / tileWidth, W: width}
			if err := writeTile(to, t, bundle); err != nil {
				return err
			}
			bundle = bundle[:0]
		}
	}
	if tree.root() != c.Hash {
		return errors.New("exporting: the entries are not what the checkpoint has signed: see what `hybridge audit verify` says")
	}
	return nil
}

func writeTile(to string, t tlog.Tile, data []byte) error {
	// tlog's paths have the height, which is fixed in C2SP's, and another name for entries.
	name := strings.Replace(strings.Replace(t.Path(), "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
	return writeExported(filepath.Join(to, filepath.FromSlash(name)), data)
}

func writeExported(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return nil
}
