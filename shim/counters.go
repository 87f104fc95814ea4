package shim

// A Count is a number of packets and their bytes.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counters are what the rules in a group's namespace counted since they were made. Loopback is not counted. A change of the
// group's policy keeps them. Their JSON is part of the control socket's protocol.
type Counters struct {
	AmbassadorOut    Count `json:"ambassador_out"`     // left
	AmbassadorDenied Count `json:"ambassador_denied"`  // not on its allow list
	AmbassadorIn     Count `json:"ambassador_in"`      // arrived
	Quota            Count `json:"quota_denied"`       // to and from the ambassador, since its quota was spent
	MembersOut       Count `json:"members_out"`        // left; egress direct only
	MembersTCP       Count `json:"members_tcp_denied"` // refused with a reset
	MembersOther     Count `json:"members_other_denied"`
	MembersIn        Count `json:"members_in_denied"`
	MembersLed       Count `json:"members_led"` // TCP led to the ambassador
	KernelOut        Count `json:"kernel_out"`  // handshakes, last ACKs, resets and neighbour discovery
	KernelIn         Count `json:"kernel_in"`
	UnknownOut       Count `json:"unknown_out_denied"` // no cgroup of the group
	UnknownIn        Count `json:"unknown_in_denied"`  // nobody it could be for
}
