#include "cli/measured.hpp"

#include "model/scenario.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

const MeasuredDefaults kH100{"h100", 132, "DeepGEMM", "fp8_block"};
const std::string kHead = "# device: NVIDIA H100 80GB HBM3, 132 SMs\n# date: 2026-11-24\n";
const std::string kColumns = "m,n,k,dtype,out_dtype,sms,method,impl,p10_us,p50_us,p90_us,samples\n";
const std::string kRow = "64,2112,7168,fp8_block,bf16,132,sustained,railcast,13.9,14.0,14.1,29\n";

std::string message(const std::string& name, const std::string& text, const MeasuredDefaults& d = kH100) {
  const Scratch folder;
  try {
    load_measured(folder.write(name, text), d);
  } catch (const BadInput& e) {
    return e.what();
  }
  return "no refusal";
}

}  // namespace

TEST_CASE("rows of railcast-measure", "[cli][measured]") {
  const Scratch folder;
  const Measured m = load_measured(folder.write("gemm.csv", kHead + kColumns + kRow), {"", 132, "", ""});
  REQUIRE(m.rows.size() == 1);
  CHECK(m.rows[0].shape == Shape(Gemm{64, 2112, 7168, Dtype::fp8_block}));
  CHECK(m.rows[0].us == 14.0);
  CHECK(m.rows[0].impl == "railcast");
  CHECK_THAT(m.device, ContainsSubstring("H100"));
}

TEST_CASE("a damaged table is refused by file and line", "[cli][measured]") {
  const std::string head = kHead + kColumns;
  CHECK_THAT(message("gemm.csv", head + kRow + "64,2112,71"),
             ContainsSubstring("gemm.csv:5") && ContainsSubstring("truncated"));
  CHECK_THAT(message("gemm.csv", head + kRow + "64,2112\n"),
             ContainsSubstring("gemm.csv:5") && ContainsSubstring("expected 12 cells"));
  CHECK_THAT(message("gemm.csv", head + kRow + kRow), ContainsSubstring("gemm.csv:5") && ContainsSubstring("twice"));
  std::string nan = kRow;
  nan.replace(nan.find("14.0"), 4, "nan");
  CHECK_THAT(message("gemm.csv", head + nan), ContainsSubstring("gemm.csv:4") && ContainsSubstring("p50_us is nan"));
  std::string text = kRow;
  text.replace(text.find("14.0"), 4, "fast");
  CHECK_THAT(message("gemm.csv", head + text), ContainsSubstring("gemm.csv:4") && ContainsSubstring("is not a number"));
  CHECK_THAT(message("gemm.csv", ""), ContainsSubstring("gemm.csv"));
}

TEST_CASE("rows say which tile ran and how many rows each group had", "[cli][measured]") {
  const std::string head = kHead + "groups,m,n,k,dtype,sms,method,impl,tile,group_rows,p50_us\n";
  const std::string row = "2,32,4096,1536,fp8_block,132,cool,railcast,";
  const Scratch folder;
  const Measured m = load_measured(
      folder.write("grouped_gemm_masked.csv", head + row + "128x64 multicast 2,25 34,9.5\n"), {"", 132, "", ""});
  CHECK(m.rows.at(0).tile == GemmTile{128, 64, 2, 1});
  CHECK(m.rows.at(0).group_rows == std::vector<std::int64_t>{25, 34});
  CHECK_THAT(message("grouped_gemm_masked.csv", head + row + "128 by 64,25 34,9.5\n"),
             ContainsSubstring("masked.csv:4") && ContainsSubstring("column tile is \"128 by 64\""));
  for (const char* rows : {"25", "25 x", "25 34 3", ""})
    CHECK_THAT(message("grouped_gemm_masked.csv", head + row + "-," + rows + ",9.5\n"),
               ContainsSubstring("masked.csv:4") && ContainsSubstring("group_rows"));
}

TEST_CASE("a time without a unit is refused", "[cli][measured]") {
  const std::string what = message("sweep.csv", "m,n,k,latency\n64,64,64,1\n");
  CHECK_THAT(what,
             ContainsSubstring("sweep.csv:1") && ContainsSubstring("has no unit") && ContainsSubstring("latency_us"));
}

TEST_CASE("rows of another device are refused", "[cli][measured]") {
  const std::string other = "# device: NVIDIA A100-SXM4-80GB\n" + kColumns + kRow;
  CHECK_THAT(message("gemm.csv", other), ContainsSubstring("gemm.csv:2") && ContainsSubstring("A100"));
  CHECK_THAT(message("sweep.csv", "m,n,k,latency_ms\n64,64,64,1\n", {"", 132, "", "bf16"}),
             ContainsSubstring("--device"));
  const Scratch folder;
  folder.write("gemm.csv", kHead + kColumns + kRow);
  folder.write("wgrad.csv", other);
  CHECK_THROWS_WITH(load_measured(folder.path(), {"", 132, "", ""}), ContainsSubstring("A100"));
}

TEST_CASE("sweeps of GEMMs and of NCCL", "[cli][measured]") {
  const Scratch folder;
  const Measured g = load_measured(folder.write("sweep.csv", "m,n,k,latency_ms,tflops\n64,128,256,0.5,1\n"), kH100);
  CHECK(g.rows.at(0).us == 500);
  const auto n = load_measured(
      folder.write("n.csv", "nccl,op,dtype,num_gpus,message_bytes,latency_ms\n2.27.3,alltoall,half,4,1024,0.007\n"),
      kH100);
  CHECK(n.rows.at(0).shape == Shape(AllToAll{1024, 4, 4}));
  CHECK(n.rows.at(0).impl == "NCCL 2.27.3 half");
}

TEST_CASE("nccl-tests in print and in JSON", "[cli][measured]") {
  const Scratch folder;
  const std::string text =
      "# nccl-tests version 2.17.1 nccl-headers=22703 nccl-library=22703\n"
      "# Collective test starting: all_reduce_perf\n"
      "#  Rank  0 Group  0 Pid 1 on host device  0 [0000:04:00] NVIDIA H100 80GB HBM3\n"
      "#  Rank  1 Group  0 Pid 1 on host device  1 [0000:05:00] NVIDIA H100 80GB HBM3\n"
      "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw\n"
      "     1048576        262144     float     sum      -1    26.10   40.18   40.18      0    25.90   40.49\n";
  const Measured printed = load_measured(folder.write("out.txt", text), {"", 132, "", ""});
  CHECK(printed.rows.at(0).shape == Shape(AllReduce{1048576, 2, 2}));
  CHECK(printed.rows.at(0).us == 26.10);
  CHECK(printed.rows.at(0).impl == "NCCL 2.27.3 float");
  const std::string json = R"({"version": 1, "args": ["./build/all_gather_perf"], "nccl_version": 22902,
    "config": {"nthreads": 1, "ngpus": 4, "devices": [{"rank": 0, "device_info": "NVIDIA H100 80GB HBM3"}]},
    "results": [{"size": 4194304, "count": 1048576, "type": "float", "redop": "none", "root": "-1",
                 "out_of_place": {"time": 36.9, "alg_bw": 113.6, "bus_bw": 85.2, "nwrong": 0.0}, "in_place": null}]})";
  const Measured written = load_measured(folder.write("out.json", json), {"", 132, "", ""});
  CHECK(written.rows.at(0).shape == Shape(AllGather{4194304, 4, 4}));
  CHECK(written.rows.at(0).us == Approx(36.9));
  CHECK(written.rows.at(0).impl == "NCCL 2.29.2 float");
}

TEST_CASE("Google Benchmark and nvbench", "[cli][measured]") {
  const Scratch folder;
  const std::string google = R"({"context": {"host_name": "NVIDIA H100 80GB HBM3"}, "benchmarks": [
    {"name": "gemm/m:64/n:128/k:256/sustained/railcast", "real_time": 12.5, "time_unit": "us"},
    {"name": "host_call", "real_time": 1, "time_unit": "us"}]})";
  const Measured g = load_measured(folder.write("g.json", google), {"", 132, "", "fp8_block"});
  CHECK(g.rows.at(0).us == 12.5);
  CHECK(g.left_out.size() == 1);
  const std::string nv = R"({"devices": [{"name": "NVIDIA H100 80GB HBM3"}], "benchmarks": [{"name": "gemm", "states": [
    {"axis_values": [{"name": "m", "value": "64"}, {"name": "n", "value": "128"}, {"name": "k", "value": "256"}],
     "summaries": [{"tag": "nv/cold/time/gpu/mean", "data": [{"name": "value", "value": "1.5e-05"}]}]}]}]})";
  const Measured n = load_measured(folder.write("n.json", nv), {"h100", 132, "mine", "bf16"});
  CHECK(n.rows.at(0).us == Approx(15));
  CHECK(n.rows.at(0).method == "cool");
  CHECK_THAT(message("bad.json", R"({"context": {}, "benchmarks": [{"name": "gemm/m:1/n:1/k:1", "real_time": 1}]})"),
             ContainsSubstring("time_unit"));
}

TEST_CASE("the lines that DeepEP's tests print", "[cli][measured]") {
  const Scratch folder;
  const std::string text =
      "[config] num_tokens=4096, hidden=7168, num_topk=8, num_experts=256, num_ranks=32\n"
      "[tuning] Best dispatch (FP8): SMs 24, NVL chunk 20, RDMA chunk 8: 58.00 GB/s (RDMA), 116.30 GB/s (NVL)\n"
      "[tuning] Best combine: SMs 24, NVL chunk 3, RDMA chunk 12: 57.00 GB/s (RDMA), 114.00 GB/s (NVL)\n";
  const Measured m = load_measured(folder.write("out.txt", text), kH100);
  REQUIRE(m.rows.size() == 2);
  CHECK(m.rows[0].us == Approx(1883).epsilon(0.01));  // 1.88 ms and 3.71 ms: what its README's rates come to
  CHECK(m.rows[1].us == Approx(3714).epsilon(0.01));
  CHECK(std::holds_alternative<Combine>(m.rows[1].shape));
}
