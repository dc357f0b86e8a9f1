"""What users would write instead of poseserve, given the same networks and steps."""
