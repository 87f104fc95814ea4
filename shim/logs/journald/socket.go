package journald

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sendTimeout is how long a send waits for a journal whose socket is full.
const sendTimeout = time.Second

// A socket sends entries to the journal. It connects when it has something to send, and connects
// again after an error: a journal that was restarted may have another socket.
type socket struct {
	path string
	conn *net.UnixConn // nil: not connected
}

// send sends one entry. After an error the entry was not taken.
func (s *socket) send(entry []byte) error {
	if s.conn == nil {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.path, Net: "unixgram"})
		if err != nil {
			return err
		}
		s.conn = conn
	}
	err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, err = s.conn.Write(entry)
	}
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = s.sendFile(entry) // it is larger than a datagram of this host
	}
	if err != nil {
		s.close()
	}
	return err
}

// sendFile sends an entry in a sealed file in memory. The journal takes no other file from a
// process that is not sandboxed (server_process_native_file in systemd's journald-native.c).
func (s *socket) sendFile(entry []byte) (err error) {
	fd, err := unix.MemfdCreate("sallyport-journal", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("file in memory for a large entry: %w", err)
	}
	f := os.NewFile(uintptr(fd), "journal entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal a large entry: %w", err)
	}
	raw, err := s.conn.SyscallConn() // UnixConn sends no rights over a connected socket
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Write(func(to uintptr) bool {
		sendErr = unix.Sendmsg(int(to), nil, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, sendErr)
}

func (s *socket) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}
