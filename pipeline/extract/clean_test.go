package extract

import "testing"

func TestClean(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := Clean(text); got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
	f("", "")
	f(" a \t b\r\nc\n\n\n\nd ", "a b\nc\n\nd")
	f("<p>K&oslash;kken&nbsp;&amp; bar</p><p>To</p>", "Køkken & bar\n\nTo")
	f("<h2>Opgaver</h2><ul><li>lave mad</li><li>vaske op</li></ul>", "Opgaver\n\n• lave mad\n\n• vaske op")
	f("<b>Om\nos</b><br>her", "Om\nos\nher")
	f("a<script>var x = '<p>';</script>b<style>p{}</style>c", "abc")
	f("alder < 18 og x<y samt 3 <4", "alder < 18 og x<y samt 3 <4")
	f("&lt;p&gt;to gange&lt;/p&gt;", "to gange")
	f("blød\u00addeling og nul\u200bbredde", "bløddeling og nulbredde")
	f("a\u030angst", "ångst")
	f("fra\xfftil", "fra til")
	f("<p>ikke lukket", "ikke lukket")
	f("<!-- væk -->her", "her")
}
