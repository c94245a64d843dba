// SPDX-License-Identifier: MPL-2.0

package rpcstate

import "encoding/binary"

// Bootstrap gives the message that asks for the server's bootstrap capability,
// as the first question of a connection, and the one that accepts the answer and
// keeps one reference to it.
func Bootstrap() (ask, finish []byte) {
	const (
		question      = 0
		structPointer = 1 << 32 // one word of data right behind it
		onePointer    = 1 << 48
		// keepResultCaps, and requireEarlyCancellationWorkaround = false: both
		// default to true and are stored inverted.
		finishFlags = 3 << 32
	)
	ask = encode(structPointer|onePointer, msgBootstrap, structPointer|onePointer, question, 0)
	finish = encode(structPointer|onePointer, msgFinish, structPointer, question|finishFlags)
	return ask, finish
}

// encode makes a message of one segment.
func encode(words ...uint64) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(words)))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}
