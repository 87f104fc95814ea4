package spec

import (
	"fmt"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds on what the HCL parser is given: it recurses with the input, and a stack that runs out ends the daemon.
// Measured: 256 KiB of minus signs are more than its gigabyte of stack.
const (
	maxFileBytes = 256 << 10
	maxNesting   = 64   // brackets within brackets
	maxOperators = 1000 // in one expression, beside each other
)

// exorbitant matches a number literal that takes more memory written out than any file has a use for.
var exorbitant = regexp.MustCompile(`[eE][+-]?[0-9]{4,}$|^.{65,}$`)

// exceeds says what about the source is beyond the bounds, and where; "" when nothing is.
func exceeds(name string, src []byte) (at hcl.Range, what string) {
	if len(src) > maxFileBytes {
		return startOf(name), fmt.Sprintf("A group file is at most %d KiB long; this one has %d KiB. Move long contents to files of their own and name them: file \"/path\" { source = ... }.", maxFileBytes>>10, len(src)>>10)
	}
	// Mistakes of the scanner come again from the parser.
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	levels := []level{{}}
	for _, t := range tokens {
		here := &levels[len(levels)-1]
		switch {
		case opens(t.Type):
			here.operators++
			levels = append(levels, level{within: t.Type})
		case closes(t.Type):
			levels = levels[:max(1, len(levels)-1)]
		case recurses(t.Type):
			here.operators++
		case t.Type == hclsyntax.TokenComma, t.Type == hclsyntax.TokenNewline && here.within != hclsyntax.TokenOParen && here.within != hclsyntax.TokenOBrack:
			here.operators = 0
		case t.Type == hclsyntax.TokenNumberLit && exorbitant.Match(t.Bytes):
			return t.Range, "This number has more digits than anything in a group file can use."
		}
		if len(levels) > maxNesting+1 {
			return t.Range, fmt.Sprintf("Brackets are nested more than %d deep here.", maxNesting)
		}
		if here.operators > maxOperators {
			return t.Range, fmt.Sprintf("There are more than %d operators in one expression here. Split it up with locals.", maxOperators)
		}
	}
	return hcl.Range{}, ""
}

// A level is what stands between two brackets.
type level struct {
	within    hclsyntax.TokenType // the bracket that opened it
	operators int                 // of the expression being read
}

func opens(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		return true
	}
	return false
}

func closes(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
		return true
	}
	return false
}

// recurses says whether one more such token can make the tree one deeper.
func recurses(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenMinus, hclsyntax.TokenBang, hclsyntax.TokenQuestion,
		hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
		hclsyntax.TokenAnd, hclsyntax.TokenOr,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq:
		return true
	}
	return false
}
