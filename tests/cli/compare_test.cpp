// What got faster or slower: pairs, their speeds, what is refused, and the exit code that a CI job asks for.
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;
using nlohmann::json;
using railcast::Scratch;

namespace {

const std::string kHead = "# device: NVIDIA H100 80GB HBM3, 132 SMs\n";

std::string gemms(const std::string& rows) { return kHead + "m,n,k,dtype,out_dtype,sms,method,impl,p50_us\n" + rows; }

/// One GEMM became 10 % faster, one took 25 % longer, one is new.
struct TwoRuns {
  Scratch files;
  std::string before = files.write("before/gemm.csv", gemms("64,128,256,fp8_block,bf16,132,cool,railcast,11\n"
                                                            "128,128,256,fp8_block,bf16,132,cool,railcast,20\n"));
  std::string after = files.write("after/gemm.csv", gemms("64,128,256,fp8_block,bf16,132,cool,railcast,10\n"
                                                          "128,128,256,fp8_block,bf16,132,cool,railcast,25\n"
                                                          "128,128,256,fp8_block,bf16,132,cool,peer,16\n"
                                                          "256,128,256,fp8_block,bf16,132,cool,railcast,30\n"));
};

json compared(const std::string& arguments) {
  const Result r = command("compare " + arguments + " --json");
  INFO(r.err);
  REQUIRE(r.code == 0);
  return json::parse(r.out);
}

}  // namespace

TEST_CASE("two runs are paired by shape, SMs and method", "[cli][compare]") {
  const TwoRuns runs;
  const json all = compared(runs.before + " " + runs.after);
  REQUIRE(all.at("groups").size() == 1);
  const json& group = all.at("groups")[0];
  CHECK(group.at("kernel") == "gemm railcast");
  REQUIRE(group.at("pairs").size() == 2);
  CHECK_THAT(group.at("pairs")[0].at("speed").get<double>(), WithinRel(0.8, 1e-12));
  CHECK_THAT(group.at("pairs")[1].at("speed").get<double>(), WithinRel(1.1, 1e-12));
  CHECK_THAT(group.at("speed_geomean").get<double>(), WithinRel(std::sqrt(0.88), 1e-12));
  CHECK(all.at("unpaired_before") == 0);
  CHECK(all.at("unpaired_after") == 2);
}

TEST_CASE("a kernel is compared with its peer", "[cli][compare]") {
  const TwoRuns runs;
  const json beside = compared(runs.after + " " + runs.after + " --base-impl peer --impl railcast");
  REQUIRE(beside.at("groups")[0].at("pairs").size() == 1);
  CHECK_THAT(beside.at("groups")[0].at("pairs")[0].at("speed").get<double>(), WithinRel(16.0 / 25, 1e-12));
  const json few = compared(runs.before + " " + runs.after + " --where m'<='64");
  REQUIRE(few.at("groups")[0].at("pairs").size() == 1);
  CHECK(few.at("groups")[0].at("pairs")[0].at("after_us") == 10);
}

TEST_CASE("grouped rows are compared by the rows that were valid", "[cli][compare]") {
  const Scratch files;
  const auto masked = [&](const std::string& name, const std::string& group_rows, const std::string& us) {
    return files.write(name + "/grouped_gemm_masked.csv",
                       kHead + "groups,m,n,k,dtype,out_dtype,sms,method,impl,group_rows,p50_us\n" +
                           "2,128,256,512,fp8_block,bf16,132,cool,railcast," + group_rows + "," + us + "\n");
  };
  const json j = compared(masked("before", "100 100", "10") + " " + masked("after", "128 92", "11"));
  CHECK_THAT(j.at("groups")[0].at("pairs")[0].at("speed").get<double>(), WithinRel(1.0, 1e-12));
}

TEST_CASE("a row slower than allowed ends in exit code 1 and is named", "[cli][compare]") {
  const TwoRuns runs;
  CHECK(command("compare " + runs.before + " " + runs.after).code == 0);
  CHECK(command("compare " + runs.before + " " + runs.after + " --allow '26 %'").code == 0);
  const Result slower = command("compare " + runs.before + " " + runs.after + " --allow '24 %'");
  CHECK(slower.code == 1);
  CHECK_THAT(slower.err, ContainsSubstring("gemm railcast 128x128x256") && ContainsSubstring("25.0 % slower"));
  CHECK_THAT(slower.err, !ContainsSubstring("64x128x256"));
}

TEST_CASE("compare refuses what it cannot compare", "[cli][compare]") {
  const TwoRuns runs;
  const std::string both = runs.before + " " + runs.after;
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Result r = command("compare " + arguments);
    INFO(arguments);
    CHECK(r.code == 2);
    CHECK_THAT(r.err, ContainsSubstring(why));
  };
  refused(both + " --impl nobody", "impls here: peer, railcast");
  refused(both + " --base-impl peer", "--impl");
  refused(both + " --where m", "expected FIELD=N");
  refused(both + " --where m'>'64", "expected FIELD=N");
  refused(both + " --where m=64x", "expected FIELD=N");
  refused(both + " --where mm=64", "no shape has a field mm");
  refused(both + " --allow 5", "5");
  refused(runs.before + " /nowhere/at/all", "no such file");
}

TEST_CASE("the committed rows stand beside their peers'", "[cli][compare]") {
  const json j = compared("validate/peers/h100 validate/measured/h100 --base-impl DeepGEMM --impl railcast");
  CHECK(j.at("unpaired_before") == 0);
  CHECK(j.at("groups").size() == 12);
}
