"""Videos and cameras: frames in, tracked people out, a bounded number of frames in memory."""
