package job

import (
	"math"
	"strconv"
	"strings"
)

const memoryUnits = "KMGT"

// ParseMemory reads an amount of memory in bytes. A bare number is MiB, as with
// Slurm; K, M, G, T are binary, in either case, and may be followed by B or iB:
// 512, 512M, 1.5G, 2GiB. A B alone means bytes. The error is ErrBadInput.
func ParseMemory(s string) (int64, error) {
	n, ok := parseMemory(strings.ToUpper(strings.TrimSpace(s)))
	if !ok {
		return 0, BadInputf("%q is not an amount of memory: write 512 (MiB), 512M, 1.5G or 64GiB", s)
	}
	return n, nil
}

func parseMemory(s string) (int64, bool) {
	unit := int64(1 << 20)
	number := strings.TrimRight(s, "BI"+memoryUnits)
	switch suffix := s[len(number):]; {
	case suffix == "":
	case suffix == "B":
		unit = 1
	default:
		i := strings.IndexByte(memoryUnits, suffix[0])
		if tail := suffix[1:]; i < 0 || tail != "" && tail != "B" && tail != "IB" {
			return 0, false
		}
		unit = 1 << (10 * (i + 1))
	}
	number = strings.TrimRight(number, " ")
	whole, fraction, hasPoint := strings.Cut(number, ".")
	if !digits(whole) || hasPoint && (!digits(fraction) || len(fraction) > 3) {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, false
	}
	n *= unit
	if hasPoint {
		thousandths, err := strconv.ParseInt((fraction + "00")[:3], 10, 64)
		part := thousandths * unit / 1000
		if err != nil || n > math.MaxInt64-part {
			return 0, false
		}
		n += part
	}
	return n, true
}

// FormatMemory writes bytes in the largest unit that expresses them exactly, so
// that ParseMemory reads them back: 512M, 2G, 1000B.
func FormatMemory(bytes int64) string {
	unit := "B"
	for i := range len(memoryUnits) {
		if bytes == 0 || bytes%1024 != 0 {
			break
		}
		bytes /= 1024
		unit = memoryUnits[i : i+1]
	}
	return strconv.FormatInt(bytes, 10) + unit
}
