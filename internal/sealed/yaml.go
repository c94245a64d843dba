// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a file with aliases of aliases may grow to.
const (
	maxNodes    = 200_000 // values and lines of comments
	maxExpanded = 2 * maxFileBytes
)

// loadYAML reads a stream of documents. Which values there are, and which
// comments stand where, has to agree with SOPS, or the MAC does not: hence its
// parser, and not the one of the rest of the project.
func loadYAML(text []byte) (document, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var d document
	r := yamlReader{nodes: maxNodes, bytes: maxExpanded}
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, &Error{Code: Malformed} // the error can quote values
		}
		o, err := r.document(&node)
		if err != nil {
			return nil, err
		}
		d = append(d, o)
	}
}

type yamlReader struct {
	nodes, bytes int // how many may still be read
	depth        int
}

func (r *yamlReader) enter(node *yaml.Node) error {
	r.nodes--
	r.bytes -= len(node.Value)
	r.depth++
	if r.nodes < 0 || r.bytes < 0 || r.depth > maxDepth {
		return fail(Malformed, "line %d: it is nested too deeply, or its aliases stand for too much", node.Line)
	}
	return nil
}

// document reads a document, an alias or a map as an object.
func (r *yamlReader) document(node *yaml.Node) (object, error) {
	return r.fill(object{}, node, false)
}

// fill appends the members of a map. commented says that the comments of node
// itself were taken by whoever holds it.
func (r *yamlReader) fill(o object, node *yaml.Node, commented bool) (object, error) {
	if err := r.enter(node); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	if !commented {
		o = r.comments(o, node.HeadComment, node.LineComment)
	}
	var err error
	switch node.Kind {
	case yaml.DocumentNode:
		for _, content := range node.Content {
			if o, err = r.fill(o, content, false); err != nil {
				return nil, err
			}
		}
	case yaml.AliasNode:
		if o, err = r.fill(o, node.Alias, false); err != nil {
			return nil, err
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if o, err = r.member(o, node.Content[i], node.Content[i+1]); err != nil {
				return nil, err
			}
		}
	case yaml.ScalarNode:
		if node.ShortTag() == "!!null" {
			return o, nil // an empty document
		}
		return nil, fail(Malformed, "line %d: the document is no map", node.Line)
	default:
		return nil, fail(Malformed, "line %d: the document is no map", node.Line)
	}
	if !commented {
		o = r.comments(o, node.FootComment)
	}
	return o, nil
}

func (r *yamlReader) member(o object, name, value *yaml.Node) (object, error) {
	o = r.comments(o, name.HeadComment, name.LineComment)
	// Scalars stand on the line of their name, so their comments are the map's.
	ours := value.Kind == yaml.ScalarNode || value.Kind == yaml.AliasNode
	if ours {
		o = r.comments(o, value.HeadComment, value.LineComment)
	}
	var text any
	if name.Decode(&text) != nil {
		return nil, fail(Malformed, "line %d: the name cannot be read", name.Line)
	}
	key, isText := text.(string)
	if !isText {
		return nil, fail(Malformed, "line %d: a name is no text: quote it", name.Line)
	}
	v, err := r.value(value, ours)
	if err != nil {
		return nil, err
	}
	o = append(o, member{name: key, value: v})
	if ours {
		o = r.comments(o, value.FootComment)
	}
	return r.comments(o, name.FootComment), nil
}

func (r *yamlReader) value(node *yaml.Node, commented bool) (any, error) {
	switch node.Kind {
	case yaml.MappingNode:
		return r.fill(object{}, node, commented)
	case yaml.SequenceNode:
		return r.list(node, commented)
	case yaml.AliasNode:
		if err := r.enter(node); err != nil {
			return nil, err
		}
		defer func() { r.depth-- }()
		return r.value(node.Alias, false)
	case yaml.ScalarNode:
		if err := r.enter(node); err != nil {
			return nil, err
		}
		defer func() { r.depth-- }()
		var v any
		if node.Decode(&v) != nil {
			return nil, fail(Malformed, "line %d: the value does not fit its tag", node.Line)
		}
		return v, nil
	default:
		return nil, fail(Malformed, "line %d", node.Line)
	}
}

func (r *yamlReader) list(node *yaml.Node, commented bool) (list, error) {
	if err := r.enter(node); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	l := list{}
	note := func(texts ...string) {
		for _, m := range r.comments(nil, texts...) {
			l = append(l, *m.comment)
		}
	}
	if !commented {
		note(node.HeadComment, node.LineComment)
	}
	for _, element := range node.Content {
		note(element.HeadComment, element.LineComment)
		v, err := r.value(element, true)
		if err != nil {
			return nil, err
		}
		l = append(l, inList(v))
		note(element.FootComment)
	}
	if !commented {
		note(node.FootComment)
	}
	return l, nil
}

// comments appends each line of the texts as a comment.
func (r *yamlReader) comments(o object, texts ...string) object {
	for _, text := range texts {
		for line := range strings.SplitSeq(text, "\n") {
			if line != "" {
				r.nodes--
				o = append(o, member{comment: &comment{text: line[1:]}})
			}
		}
	}
	return o
}
