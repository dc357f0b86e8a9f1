// Sends an image to poseserve with Go's standard library (Go 1.18 or later), prints the people found as JSON:
//
//	go run pose.go -score-threshold 0.4 -url http://127.0.0.1:8000 image.jpg
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
)

const headerLength = "Inference-Header-Content-Length"
const question = `{"inputs": [{"name": "IMAGE", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": %d}}],
	"parameters": {"score_threshold": %q, "binary_data_output": true}}`

type object = map[string]any

func check(err error) {
	if err != nil {
		log.Fatal(err) // exits with 1
	}
}

// write returns the body of a request, and the length of the JSON at its start.
func write(image []byte, threshold string) ([]byte, int) {
	if threshold == "" {
		return image, 0 // the image alone has no place for parameters
	}
	header := []byte(fmt.Sprintf(question, 4+len(image), threshold))
	size := make([]byte, 4)
	binary.LittleEndian.PutUint32(size, uint32(len(image)))
	return bytes.Join([][]byte{header, size, image}, nil), len(header)
}

// read returns the outputs by their names: JSON describes them, their bytes follow in the same order.
func read(answer []byte, jsonLength int) map[string][]byte {
	var header struct {
		Outputs []struct {
			Name       string
			Parameters map[string]int
		}
	}
	check(json.Unmarshal(answer[:jsonLength], &header))
	outputs, rest := map[string][]byte{}, answer[jsonLength:]
	for _, output := range header.Outputs {
		size := output.Parameters["binary_data_size"]
		outputs[output.Name], rest = rest[:size], rest[size:]
	}
	return outputs
}

// rows returns the bytes of an FP32 output as float32, or as arrays of float32.
func rows[T any](data []byte) []T {
	var row T
	found := make([]T, len(data)/binary.Size(row))
	check(binary.Read(bytes.NewReader(data), binary.LittleEndian, found))
	return found
}

func main() {
	url := flag.String("url", "http://127.0.0.1:8000", "the server's HTTP address")
	threshold := flag.String("score-threshold", "", "lowest score of a person, 0 to 1")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: go run pose.go [-score-threshold NUMBER] [-url URL] IMAGE")
	}
	image, err := os.ReadFile(flag.Arg(0))
	check(err)
	body, jsonLength := write(image, *threshold)
	request, err := http.NewRequest("POST", *url+"/v2/models/pose/infer", bytes.NewReader(body))
	check(err)
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set(headerLength, strconv.Itoa(jsonLength))
	response, err := http.DefaultClient.Do(request)
	check(err)
	answer, err := io.ReadAll(response.Body)
	check(err)
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status, " ", string(answer)) // says what is accepted
	}
	jsonLength, err = strconv.Atoi(response.Header.Get(headerLength))
	check(err)
	outputs := read(answer, jsonLength)
	scores, keypoints := rows[float32](outputs["SCORES"]), rows[[3]float32](outputs["KEYPOINTS"])
	people := []object{}
	for i, box := range rows[[4]float32](outputs["BOXES"]) {
		each := len(keypoints) / len(scores)
		people = append(people, object{"box": box, "score": scores[i], "keypoints": keypoints[i*each : (i+1)*each]})
	}
	set := string(outputs["KEYPOINT_SET"][4:]) // one text; 4 bytes before it are its length
	check(json.NewEncoder(os.Stdout).Encode(object{"keypoint_set": set, "people": people}))
}
