package spec

import (
	"fmt"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// MaxGroupFile limits the size of a group file in bytes.
const MaxGroupFile = 256 << 10

// Limits on the HCL parser's input. The parser recurses with the input, and the daemon dies when
// its stack runs out. Measured: 256 KiB of minus signs need more than the gigabyte of stack that Go
// allows.
const (
	maxNesting   = 64   // brackets within brackets
	maxOperators = 1000 // in one expression, beside each other
)

// exorbitant matches a number literal that would take too much memory when it is written out.
var exorbitant = regexp.MustCompile(`[eE][+-]?[0-9]{4,}$|^.{65,}$`)

// exceeds returns the place and the description of the first violation of the limits. An empty
// description means that there is none.
func exceeds(name string, src []byte) (at hcl.Range, what string) {
	if len(src) > MaxGroupFile {
		return startOf(name), fmt.Sprintf("A group file is at most %d KiB long; this one has %d KiB. Move long contents to files of their own and name them: file \"/path\" { source = ... }.", MaxGroupFile>>10, len(src)>>10)
	}
	// The parser reports the scanner's mistakes again, so they are dropped here.
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return exceedsNesting(tokens)
}

// exceedsNesting is exceeds for the tokens of a text.
func exceedsNesting(tokens hclsyntax.Tokens) (at hcl.Range, what string) {
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
		case t.Type == hclsyntax.TokenComma,
			t.Type == hclsyntax.TokenNewline && here.within != hclsyntax.TokenOParen && here.within != hclsyntax.TokenOBrack:
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

// A level is the text between two brackets.
type level struct {
	within    hclsyntax.TokenType // the bracket that opened it
	operators int                 // so far, in the current expression
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

// recurses reports whether one more token of this type can make the tree one level deeper.
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
