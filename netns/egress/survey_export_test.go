package egress

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
)

// Shorten leaves the survey room for so many cgroups.
func (s *Survey) Shorten(records int) {
	s.buffer = s.buffer[:records*int(unsafe.Sizeof(surveyRecord{}))]
}

// FailSurveyProgram makes surveys of the test fail as where the kernel has no types.
func FailSurveyProgram(t *testing.T, err error) {
	before := surveyProgram
	t.Cleanup(func() { surveyProgram = before })
	surveyProgram = func() (*ebpf.Program, error) { return nil, err }
}

// VerifySurvey returns what the verifier logs of the program: each instruction, with what it knows
// of the registers.
func VerifySurvey() (string, error) {
	p, err := loadSurvey(ebpf.LogLevelInstruction)
	if err != nil {
		return "", err
	}
	defer p.Close()
	return p.VerifierLog, nil
}
